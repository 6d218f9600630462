-- One beat of a process: its record, the jobs that it runs, its statistics; and
-- a signal that somebody has left for it.
--
-- KEYS[1]   its record: a hash
-- KEYS[2]   the set of processes
-- KEYS[3]   the jobs that it runs: a hash
-- KEYS[4]   the signals for it: a list, taken from at its right
-- KEYS[5]   the mark: how many jobs of it were counted already
-- KEYS[6…9] counters: processed, processed that day, failed, failed that day
-- ARGV[1]   its identity
-- ARGV[2]   1 when it is about to end, else 0
-- ARGV[3]   how long record and jobs are kept without another beat, in ms
-- ARGV[4]   how many jobs it has processed since its start …
-- ARGV[5]   … and how many of these have failed
-- ARGV[6]   how many of the first are known to it to be counted …
-- ARGV[7]   … and how many of the second
-- ARGV[8]   how long the mark is kept, in ms
-- ARGV[9]   how long the counters of a day are kept, in s
-- ARGV[10]  how many words of the record follow: field, value, …
-- then those, then the jobs: field, value, …
--
-- Returns the signal or nil; 1 when all that was processed is counted now; the
-- first thing that went wrong or nil. Each part is tried, whatever became of
-- the others.
--
-- What is sent are totals and not differences, so when an answer was lost, the
-- next beat counts what this one did not. The mark is written first, after a
-- look whether all counters can be added to: so either all are or none is.
--
-- The expiry command first: see dead.lua.
local problem = false
local function try(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    problem = problem or command .. ' ' .. key .. ': ' .. answer.err
    return false
  end
  return answer
end

local function add(first, number)
  local text = string.format('%.0f', number)
  try('INCRBY', KEYS[first], text)
  try('INCRBY', KEYS[first + 1], text)
  try('EXPIRE', KEYS[first + 1], ARGV[9])
end

local function count()
  if tonumber(ARGV[4]) <= tonumber(ARGV[6]) then
    return 1
  end
  local mark = try('HMGET', KEYS[5], 'processed', 'failed')
  if not mark then
    return 0
  end
  local processed = tonumber(ARGV[4]) - tonumber(mark[1] or ARGV[6])
  local failed = tonumber(ARGV[5]) - tonumber(mark[2] or ARGV[7])
  if processed <= 0 then
    return 1
  end
  for i = 6, 9 do
    if not try('INCRBY', KEYS[i], 0) then
      return 0
    end
  end
  if not try('HSET', KEYS[5], 'processed', ARGV[4], 'failed', ARGV[5]) then
    return 0
  end
  try('PEXPIRE', KEYS[5], ARGV[8])
  add(6, processed)
  add(8, failed)
  return 1
end

local exists = try('PEXPIRE', KEYS[1], ARGV[3])
local counted = count()
if ARGV[2] == '1' then
  try('SREM', KEYS[2], ARGV[1])
  try('UNLINK', KEYS[3])
  return {false, counted, problem}
end
local last = 10 + tonumber(ARGV[10])
try('SADD', KEYS[2], ARGV[1])
try('HSET', KEYS[1], unpack(ARGV, 11, last))
if exists == 0 then
  try('PEXPIRE', KEYS[1], ARGV[3])
end
try('UNLINK', KEYS[3])
if last < #ARGV then
  for first = last + 1, #ARGV, 500 do
    try('HSET', KEYS[3], unpack(ARGV, first, math.min(first + 499, #ARGV)))
  end
  try('PEXPIRE', KEYS[3], ARGV[3])
end
return {try('RPOP', KEYS[4]), counted, problem}
