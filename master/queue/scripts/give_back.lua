-- Puts jobs back where they will be taken from next, exactly once however often
-- this is sent.
--
-- KEYS[1]  the queue: a list, taken from at its right
-- KEYS[2]  a mark of this one giving back, so that it is known when sent again
-- ARGV[1]  how long the mark is kept, in milliseconds
-- ARGV[2…] the jobs, the one that was taken last first
--
-- The jobs are pushed before the mark is set: if pushing fails there is no
-- mark, and nothing is lost. The expiry command first: see dead.lua.
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then
  for i = 2, #ARGV do
    redis.call('RPUSH', KEYS[1], ARGV[i])
  end
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
end
return 1
