-- Sets jobs aside in the dead set, and trims it by age and by number.
--
-- KEYS[1]  the dead set: sorted, score = seconds since 1970
-- ARGV[1]  the score of what is older than the set keeps
-- ARGV[2]  how many the set keeps at the most …
-- ARGV[3]  … but what is newer than this score is kept all the same, so that
--          no burst of failures pushes itself out before anybody could look
-- ARGV[4…] score, record, score, record, …; a record holds an id of its own,
--          so adding it twice is adding it once: this may be sent again
--
-- Returns how many were removed.
--
-- PERSIST comes first, and does nothing: after it the same script may write
-- although Redis is out of memory.
redis.call('PERSIST', KEYS[1])
for i = 4, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
end
local removed = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if excess > 0 then
  local old = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
  if excess > old then
    excess = old
  end
end
if excess > 0 then
  removed = removed + redis.call('ZREMRANGEBYRANK', KEYS[1], 0, excess - 1)
end
return removed
