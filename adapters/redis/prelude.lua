-- The name of the open epoch, or nil: "E <name> <run>" written under another run of the server is void.
local function open_epoch(key, run)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local name, written = string.match(raw, '^E (%S+) (%S+)$')
  if written == run then return name end
  return nil
end

local function is_mark(cell)
  return cell and string.sub(cell, 1, 2) == 'M '
end
