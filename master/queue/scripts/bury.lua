-- Moves members of a set that nobody understands to a dead set, each exactly
-- once however often this is sent, and trims that.
--
-- KEYS[1]  the set that they are in
-- KEYS[2]  the dead set: sorted, score = seconds since 1970
-- ARGV[1]  the time now, in seconds
-- ARGV[2]  the score of what is older than the dead set keeps
-- ARGV[3]  how many it keeps at the most …
-- ARGV[4]  … but what is newer than this score is kept all the same; '+inf'
--          keeps none of them
-- ARGV[5…] member, record, member, record, …
--
-- PERSIST first, the destination before the source: see dead.lua, move.lua.
--
-- Returns how many old entries were removed.
redis.call('PERSIST', KEYS[1])
for i = 5, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i + 1])
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
local removed = redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[2])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if excess > 0 then
  local old = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. ARGV[4])
  if excess > old then
    excess = old
  end
end
if excess > 0 then
  removed = removed + redis.call('ZREMRANGEBYRANK', KEYS[2], 0, excess - 1)
end
return removed
