-- KEYS: epoch. ARGV: the bytes seen ('' if there were none), the new bytes. Answers 1 if swapped.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
