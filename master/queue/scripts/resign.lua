-- Gives a lock back.
--
-- KEYS[1]  the lock
-- ARGV[1]  who gives it back; somebody else's is left alone
--
-- Returns how many were given back.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
