-- Gives back what blocking pops have moved and nobody has taken: untouched and
-- next in line.
--
-- KEYS[1]  the lease of the process that has it
-- KEYS[2]  its inbox, the newest at the left
-- KEYS[3]  the queue, taken from at its right
-- ARGV[1]  'own', or 'orphans': then nothing happens while the lease is there
-- ARGV[2]  how many at the most
--
-- Returns how many went back; -1 when the process lives after all.
redis.call('PERSIST', KEYS[2])
if ARGV[1] == 'orphans' and redis.call('EXISTS', KEYS[1]) == 1 then
  return -1
end
local moved = 0
while moved < tonumber(ARGV[2]) do
  local payload = redis.call('LINDEX', KEYS[2], 0)
  if not payload then
    break
  end
  redis.call('RPUSH', KEYS[3], payload)
  redis.call('LPOP', KEYS[2])
  moved = moved + 1
end
return moved
