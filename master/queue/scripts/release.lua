-- Gives up a lease, if it is still the one that is meant.
--
-- KEYS[1]  the lease
-- ARGV[1]  the value that it must have
--
-- Returns 1 when it was given up, 0 when it is gone or is another's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
