-- Gives jobs in flight back to their queue, untouched and next in line.
--
-- KEYS[1]  the lease of the process that has them
-- KEYS[2]  the jobs in flight: a hash, attempt -> payload
-- KEYS[3]  the queue, taken from at its right
-- ARGV[1]  'own', or 'orphans': then nothing happens while the lease is there
-- ARGV[2…] the attempts, newest first: so that they stand in the queue in the
--          order in which they were taken from it
--
-- An attempt that is not in flight is left alone, so this may be sent again,
-- and being killed between two calls loses nothing and doubles nothing.
--
-- Returns how many went back; -1 when the process lives after all.
redis.call('PERSIST', KEYS[2])
if ARGV[1] == 'orphans' and redis.call('EXISTS', KEYS[1]) == 1 then
  return -1
end
local moved = 0
for i = 2, #ARGV do
  local payload = redis.call('HGET', KEYS[2], ARGV[i])
  if payload then
    redis.call('RPUSH', KEYS[3], payload)
    redis.call('HDEL', KEYS[2], ARGV[i])
    moved = moved + 1
  end
end
return moved
