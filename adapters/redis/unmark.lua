-- KEYS: epoch, cells. ARGV: run, token, life in ms, then version and bytes per cell. The version is '' if nothing was
-- committed and 'changed' if something was that no value may outlive: it counts as the highest there is.
local current = open_epoch(KEYS[1], ARGV[1])

local function without(writers, token)
  local left = {}
  for writer in string.gmatch(writers, '[^,]+') do
    if string.match(writer, '^[^=]+') ~= token then left[#left + 1] = writer end
  end
  return table.concat(left, ',')
end

local function settle(key, version, data)
  local cell = redis.call('GET', key)
  if not cell then return end
  if not is_mark(cell) then return redis.call('DEL', key) end
  local epoch, highest, writers = string.match(cell, '^M (%S+) (%d+) (%S+)$')
  local left = without(writers, ARGV[2])
  if version == 'changed' then
    highest = '9007199254740992'
  elseif version ~= '' and tonumber(version) > tonumber(highest) then
    highest = version
  end
  if left ~= '' then return redis.call('SET', key, 'M ' .. epoch .. ' ' .. highest .. ' ' .. left) end
  if version == highest and epoch == current then
    return redis.call('SET', key, 'V ' .. epoch .. ' ' .. version .. ' ' .. data, 'PX', ARGV[3])
  end
  return redis.call('DEL', key)
end

for i = 2, #KEYS do settle(KEYS[i], ARGV[2 * i], ARGV[2 * i + 1]) end
return #KEYS - 1
