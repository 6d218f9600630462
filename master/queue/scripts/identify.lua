-- Names jobs in flight, so that they are known again when they come back.
--
-- KEYS[1]  the jobs in flight: a hash, attempt -> payload
-- ARGV[1]  how many bytes of payload to look at; one job is always looked at
-- ARGV[2…] the attempts
--
-- Returns a name for each, as far as it has got:
--   ''          it is not in flight (any more)
--   'j' and an id, when the job is described, or an envelope, with a jid; one
--               that would not do as a part of a key is digested
--   'd' and a digest of all its bytes, when it has none
--
-- What is no JSON may be named by what looks like a jid in it: equal bytes have
-- equal names all the same. Nor are the members of a job looked for without
-- end: a job of so many pieces that its jid is not found in time is digested.
local find, byte, sub = string.find, string.byte, string.sub
local steps

-- Where the string that begins at `start` ends.
local function string_end(text, start)
  local stop = start
  repeat
    stop = find(text, '"', stop + 1, true)
    if not stop or steps <= 0 then
      return nil
    end
    local before = stop - 1
    while byte(text, before) == 92 do
      before = before - 1
    end
    steps = steps - (stop - before)
  until (stop - before) % 2 == 1
  return stop
end

-- The members of the object at the top that are of use here: strings as they
-- are written, of others the first byte.
local function members_of(text)
  local members, at, depth = {}, 1, 0
  steps = 50000
  repeat
    local pos = find(text, '["{}%[%]]', at)
    if not pos or steps <= 0 then
      return {}
    end
    local char = byte(text, pos)
    steps = steps - 1
    at = pos + 1
    if char == 34 then
      local stop = string_end(text, pos)
      if not stop then
        return {}
      end
      at = stop + 1
      local _, colon = find(text, '^%s*:%s*', at)
      if depth == 1 and colon and stop - pos < 8 then
        local name = sub(text, pos + 1, stop - 1)
        at = colon + 1
        members[name] = sub(text, at, at)
        if members[name] == '"' then
          stop = string_end(text, at)
          if not stop then
            return {}
          end
          if name == 'jid' then
            members.jid = sub(text, at, stop)
          end
          at = stop + 1
        end
      end
    elseif char == 123 or char == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
  until depth == 0
  return members
end

local function name_of(payload)
  local jid
  if find(payload, '^%s*{') then
    local members = members_of(payload)
    if members.class == '"' or members.corq == '{' then
      jid = members.jid
    end
  end
  if not jid or #jid < 3 or byte(jid) ~= 34 then
    return 'd' .. redis.sha1hex(payload)
  end
  jid = sub(jid, 2, -2)
  if #jid > 64 or find(jid, '[^%w_.:-]') then
    jid = redis.sha1hex(jid)
  end
  return 'j' .. jid
end

local room = tonumber(ARGV[1])
local names = {}
for i = 2, #ARGV do
  local payload = redis.call('HGET', KEYS[1], ARGV[i])
  names[i - 1] = ''
  if payload then
    room = room - #payload
    if room < 0 and i > 2 then
      names[i - 1] = nil
      break
    end
    names[i - 1] = name_of(payload)
  end
end
return names
