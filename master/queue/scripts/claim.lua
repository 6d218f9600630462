-- Takes jobs from a queue, for a process that holds its lease.
--
-- KEYS[1]  the lease
-- KEYS[2]  the inbox: what a blocking pop has moved, the oldest at the right
-- KEYS[3]  the jobs in flight: a hash, attempt -> payload
-- KEYS[4]  the queue, the oldest at the right
-- ARGV[1]  the value that the lease must have
-- ARGV[2]  how long it lasts from now, in milliseconds
-- ARGV[3]  how many jobs are wanted
-- ARGV[4]  how many bytes they may have together; one job is always taken
-- ARGV[5]  the number of the first attempt; each job gets the next one
--
-- Returns the payloads in the order of their attempts; -1 when the lease is
-- gone, -2 when another connection has it: then nothing is taken.
--
-- A script is not undone when it fails half-way: so the jobs are written where
-- they go before they are removed where they were. A crash between the two
-- can't be seen: Redis runs a script whole or not at all.
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then
  return -1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -2
end
local wanted = tonumber(ARGV[3])
local room = tonumber(ARGV[4])
local first = tonumber(ARGV[5]) - 1
local jobs = {}
local taken = 0

-- A few at a time: how large the next ones are is only known when they are
-- here, and what is too much was copied in vain.
local function collect(key)
  local before = taken
  while taken < wanted do
    local from = taken - before
    local few = math.min(wanted - taken, 16)
    local list = redis.call('LRANGE', key, -from - few, -from - 1)
    for i = #list, 1, -1 do
      room = room - #list[i]
      if room < 0 and taken > 0 then
        wanted = taken
        break
      end
      taken = taken + 1
      jobs[taken] = list[i]
    end
    if #list < few then
      break
    end
  end
  return taken - before
end

local from_inbox = collect(KEYS[2])
local from_queue = collect(KEYS[4])
if taken == 0 then
  return jobs
end
-- A value of so many bytes makes Redis keep the hash as a table; as the packed
-- list that it begins with, each job would be looked for among all others.
local is_new = taken > 8 and redis.call('EXISTS', KEYS[3]) == 0
if is_new then
  redis.call('HSET', KEYS[3], '-', string.rep('-', 1024))
end
-- In pieces: unpack() knows a limit.
local format = string.format
for start = 1, taken, 500 do
  local pairs = {}
  local n = 0
  for i = start, math.min(start + 499, taken) do
    pairs[n + 1] = format('%016d', first + i)
    pairs[n + 2] = jobs[i]
    n = n + 2
  end
  redis.call('HSET', KEYS[3], unpack(pairs, 1, n))
end
if is_new then
  redis.call('HDEL', KEYS[3], '-')
end
if from_inbox > 0 then
  redis.call('LTRIM', KEYS[2], 0, -1 - from_inbox)
end
if from_queue > 0 then
  redis.call('LTRIM', KEYS[4], 0, -1 - from_queue)
end
return jobs
