-- Takes processes that have no record any more out of the set of processes.
--
-- KEYS[1]  the set of processes
-- KEYS[2…] the members that are looked at: each is also the key of its record
--
-- Returns how many were taken out. A key that can't be looked at is left alone.
-- Nothing here needs memory, so no expiry command comes first.
local removed = 0
for i = 2, #KEYS do
  if redis.pcall('HEXISTS', KEYS[i], 'info') == 0 then
    removed = removed + redis.call('SREM', KEYS[1], KEYS[i])
  end
end
return removed
