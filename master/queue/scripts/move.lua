-- Moves due jobs of one set to one queue, each exactly once however often this
-- is sent.
--
-- KEYS[1]  the set that they are in
-- KEYS[2]  the queue: a list, pushed to at its left
-- KEYS[3]  the set of the names of queues, for those who show them; only needed
--          with a name
-- ARGV[1]  the queue's name, or ''
-- ARGV[2…] member, payload, member, payload, …
--
-- What is no member any more was moved before. A script is not undone when it
-- fails half-way: each job is pushed before it is removed. That the names can't
-- be written is no reason to hold jobs up. PERSIST first: see dead.lua.
--
-- Returns how many were moved.
redis.call('PERSIST', KEYS[1])
local moved = 0
for i = 2, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('LPUSH', KEYS[2], ARGV[i + 1])
    redis.call('ZREM', KEYS[1], ARGV[i])
    moved = moved + 1
  end
end
if moved > 0 and ARGV[1] ~= '' then
  redis.pcall('SADD', KEYS[3], ARGV[1])
end
return moved
