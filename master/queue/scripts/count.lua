-- Counts against jobs that their process has died: of them, or while it ran
-- them. They stay in flight.
--
-- KEYS[1]  the jobs in flight: a hash, attempt -> payload
-- KEYS[2…] the counter of each job: a hash, of which the fields are
--            crashed  how many processes it has brought down
--            died     in how many it ran that were ended by others
--            process  the last one that was counted
-- ARGV[1]  which of the first two it is
-- ARGV[2]  the process that has died
-- ARGV[3]  how long a counter lasts from its beginning, in milliseconds
-- ARGV[4]  a count after which the next one begins anew; 0: none
-- ARGV[5…] the attempts, in the order of the counters
--
-- A process is counted once for a job, however often this is sent; so it may be
-- sent again until the job has been moved as its count says. One that is not in
-- flight any more is not counted.
--
-- Returns the count of each: a number, 0 for one that was not counted; or why
-- its counter can't be used.
--
-- PERSIST comes first, and does nothing: after it the same script may write
-- although Redis is out of memory.
redis.call('PERSIST', KEYS[1])
local limit = tonumber(ARGV[4])
local counts = {}

local function count(key)
  local found = redis.pcall('HMGET', key, ARGV[1], 'process')
  if found.err then
    return found.err
  end
  local number = tonumber(found[1]) or 0
  if found[2] == ARGV[2] then
    return number
  end
  if limit > 0 and number >= limit then
    number = 0
  end
  number = number + 1
  local is_new = redis.call('EXISTS', key) == 0
  redis.call('HSET', key, ARGV[1], number, 'process', ARGV[2])
  if is_new then
    redis.call('PEXPIRE', key, ARGV[3])
  end
  return number
end

for i = 2, #KEYS do
  counts[i - 1] = 0
  if redis.call('HEXISTS', KEYS[1], ARGV[i + 3]) == 1 then
    counts[i - 1] = count(KEYS[i])
  end
end
return counts
