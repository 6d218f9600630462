-- Takes the lease of a process, for one command connection of it.
--
-- KEYS[1]  the lease
-- KEYS[2]  the owners: a set of those who may hold jobs
-- ARGV[1]  the value: tells this connection from earlier ones
-- ARGV[2]  how long the lease lasts without being refreshed, in milliseconds
-- ARGV[3…] "<process> <queue key>" of each of its queues
--
-- Returns 1, or 0 when the lease was not there.
--
-- PEXPIRE comes first, of a key that may be missing: after it the same script
-- may write although Redis is out of memory. A crash before the last line
-- leaves at most owners without anything, which the sweeper forgets.
local there = redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 3, #ARGV do
  redis.call('SADD', KEYS[2], ARGV[i])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return there
