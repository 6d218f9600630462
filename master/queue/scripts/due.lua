-- Takes or refreshes the lock of the one process that moves due jobs, and looks
-- at what is due.
--
-- KEYS[1]  the lock; its value is who has it
-- KEYS[2…] sorted sets, score = seconds since 1970 when a member is due
-- ARGV[1]  who asks
-- ARGV[2]  how long the lock is theirs, in milliseconds
-- ARGV[3]  the time now, in seconds
-- ARGV[4]  how many members of each set are given at the most …
-- ARGV[5]  … and how many bytes of them, but always one
--
-- Returns {0} when somebody else has the lock; otherwise
--   {1, score, set, member, set, member, …}
-- with the earliest score that is not due yet, or '', and after it the members
-- that are due, each set in the order of scores. A set is a number: 1 for
-- KEYS[2]. What can't be read is told as {…, -set, error}, and hurts no other.
--
-- The members are fetched one by one: a hundred of the largest would be more
-- than a server may have memory for. The expiry command comes before the one
-- that writes: after it the script may write although Redis is out of memory.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {0}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end

local most, most_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local reply = {1, ''}

local function add(set, text)
  reply[#reply + 1] = set
  reply[#reply + 1] = text
end

local function look(set)
  local key = KEYS[set + 1]
  local n, bytes = 0, 0
  while n < most do
    local due = redis.pcall('ZRANGEBYSCORE', key, '-inf', ARGV[3], 'LIMIT', n, 1)
    if due.err then
      return add(-set, due.err)
    end
    if not due[1] or (n > 0 and bytes + #due[1] > most_bytes) then
      break
    end
    add(set, due[1])
    n = n + 1
    bytes = bytes + #due[1]
  end
  local later = redis.pcall('ZRANGEBYSCORE', key, '(' .. ARGV[3], '+inf',
                            'WITHSCORES', 'LIMIT', 0, 1)
  if later[2] and
     (reply[2] == '' or tonumber(later[2]) < tonumber(reply[2])) then
    reply[2] = later[2]
  end
end

for set = 1, #KEYS - 1 do
  look(set)
end
return reply
