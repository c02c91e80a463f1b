-- KEYS: epoch, cells. ARGV: run, token, deadline. A mark has no life span, so no volatile-* policy evicts it.
local epoch = open_epoch(KEYS[1], ARGV[1]) or '-'
local writer = ARGV[2] .. '=' .. ARGV[3]
for i = 2, #KEYS do
  local cell = redis.call('GET', KEYS[i])
  if is_mark(cell) then
    redis.call('SET', KEYS[i], cell .. ',' .. writer)
  else
    redis.call('SET', KEYS[i], 'M ' .. epoch .. ' 0 ' .. writer)
  end
end
return #KEYS - 1
