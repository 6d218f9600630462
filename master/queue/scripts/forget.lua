-- Forgets an owner that has nothing.
--
-- KEYS[1]  the owners: a set
-- KEYS[2]  the lease of the process
-- KEYS[3]  its inbox
-- KEYS[4]  its jobs in flight
-- ARGV[1]  "<process> <queue key>"
--
-- Returns 1 when it is forgotten, 0 when there is something of it.
if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then
  return 0
end
redis.call('SREM', KEYS[1], ARGV[1])
return 1
