-- Gives members of a set another time; what is no member any more stays none.
--
-- KEYS[1]  the set
-- ARGV[1]  the time, in seconds
-- ARGV[2…] the members
--
-- PERSIST first: see dead.lua.
redis.call('PERSIST', KEYS[1])
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i])
end
return 1
