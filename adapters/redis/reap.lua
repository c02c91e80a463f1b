-- KEYS: cells. ARGV: the bytes each was seen with. Answers 1 per cell deleted.
local answers = {}
for i = 1, #KEYS do
  answers[i] = 0
  if redis.call('GET', KEYS[i]) == ARGV[i] then answers[i] = redis.call('DEL', KEYS[i]) end
end
return answers
