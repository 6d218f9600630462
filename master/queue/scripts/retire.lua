-- Moves failed jobs out of flight: to be retried, set aside, or dropped.
--
-- KEYS[1]  the jobs in flight: a hash, attempt -> payload
-- KEYS[2]  the set of those to be retried: sorted, score = when, in seconds
-- KEYS[3]  the dead set: sorted, score = since when
-- KEYS[4]  a list that wakes the poller
-- ARGV[1]  the score of what is older than the dead set keeps
-- ARGV[2]  how many the dead set keeps at the most …
-- ARGV[3]  … but what is newer than this score is kept all the same, so that
--          no burst of failures pushes itself out before anybody could look
-- ARGV[4…] attempt, 'retry' | 'dead' | 'drop', score, record, attempt, …
--
-- An attempt that is not in flight any more is left alone: it was settled
-- before, or somebody else has it. So this may be sent again.
--
-- Returns how many were moved, and how many old ones left the dead set.
--
-- PERSIST comes first, and does nothing: after it the same script may write
-- although Redis is out of memory.
redis.call('PERSIST', KEYS[1])
local moved, has_dead = 0, false
for i = 4, #ARGV, 4 do
  local attempt, where, score, record = unpack(ARGV, i, i + 3)
  if redis.call('HEXISTS', KEYS[1], attempt) == 1 then
    if where == 'retry' then
      redis.call('ZADD', KEYS[2], score, record)
      if redis.call('ZRANK', KEYS[2], record) == 0 then
        redis.pcall('LPUSH', KEYS[4], '1')
        redis.pcall('LTRIM', KEYS[4], 0, 0)
        redis.pcall('PEXPIRE', KEYS[4], 60000)
      end
    elseif where == 'dead' then
      redis.call('ZADD', KEYS[3], score, record)
      has_dead = true
    end
    redis.call('HDEL', KEYS[1], attempt)
    moved = moved + 1
  end
end
local removed = 0
if has_dead then
  removed = redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[1])
  local excess = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[2])
  if excess > 0 then
    local old = redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. ARGV[3])
    if excess > old then
      excess = old
    end
  end
  if excess > 0 then
    removed = removed + redis.call('ZREMRANGEBYRANK', KEYS[3], 0, excess - 1)
  end
end
return {moved, removed}
