-- KEYS: epoch, cells. ARGV: run, token, lease life in ms. Answers 1 per cell that got the lease.
local epoch = open_epoch(KEYS[1], ARGV[1])
local answers = {}
for i = 2, #KEYS do
  answers[i - 1] = 0
  if epoch then
    local cell = redis.call('GET', KEYS[i])
    local written = cell and string.match(cell, '^[VL] (%S+) ')
    if not cell or (written and written ~= epoch) then
      redis.call('SET', KEYS[i], 'L ' .. epoch .. ' ' .. ARGV[2], 'PX', ARGV[3])
      answers[i - 1] = 1
    end
  end
end
return answers
