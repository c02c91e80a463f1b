-- KEYS: cells. Deletes values and leases, never marks; answers how many.
local dropped = 0
for i = 1, #KEYS do
  local cell = redis.call('GET', KEYS[i])
  if cell and not is_mark(cell) then dropped = dropped + redis.call('UNLINK', KEYS[i]) end
end
return dropped
