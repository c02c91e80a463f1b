-- KEYS: epoch, cells. ARGV: run, token, life in ms, then version and bytes per cell. Answers 1 per cell kept.
local epoch = open_epoch(KEYS[1], ARGV[1])
local answers = {}
for i = 2, #KEYS do
  answers[i - 1] = 0
  if epoch and redis.call('GET', KEYS[i]) == 'L ' .. epoch .. ' ' .. ARGV[2] then
    redis.call('SET', KEYS[i], 'V ' .. epoch .. ' ' .. ARGV[2 * i] .. ' ' .. ARGV[2 * i + 1], 'PX', ARGV[3])
    answers[i - 1] = 1
  end
end
return answers
