-- Adds a job to a set of those that are run later, and tells who moves them
-- when it has become the first of the set.
--
-- KEYS[1]  the set: sorted, score = seconds since 1970
-- KEYS[2]  the list by which the mover of due jobs is woken
-- ARGV[1]  the score
-- ARGV[2]  the job
--
-- One word is enough, and one that nobody waits for goes after a minute. That
-- it can't be written is no reason to fail: the job is found within a second.
-- A new job is refused by a server that is out of memory, as it should be.
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('ZRANK', KEYS[1], ARGV[2]) == 0 then
  redis.pcall('LPUSH', KEYS[2], '1')
  redis.pcall('LTRIM', KEYS[2], 0, 0)
  redis.pcall('PEXPIRE', KEYS[2], 60000)
end
return 1
