-- A change that somebody asks for: who asks is checked first, then whether it was done already, then it is done.
local caller, is_host, grant

local function authorize()
  if call.operator then
    grant = call.grants.operator
    return grant == 'none' and 'forbidden' or nil
  end
  if call.generation then
    if tonumber(field('generation')) ~= call.generation then
      return 'unauthorized'
    end
    is_host = true
    caller = field('tokenholder')
    if caller and not field('p:' .. caller) then
      caller = nil
    end
  else
    caller = call.participant
    if not field('p:' .. caller) then
      return field('k:' .. caller) == 'banned' and 'forbidden' or 'not-joined'
    end
    is_host = field('host') == caller
  end
  grant = is_host and call.grants.host or call.grants.member
  if grant == 'none' then
    return 'forbidden'
  end
end

-- Whether the caller has the creator's rights, whoever was promoted in between.
local function holds_token()
  return call.generation or caller == field('tokenholder')
end

local function void_token()
  add(session, 'generation', 1)
  remove(session, 'tokenholder')
end

local LONGEST_REPLY = 4096

-- Whether a request with this fingerprint is the same one; call.fingerprints are those under other secrets.
local function is_repeat(fingerprint)
  for _, other in ipairs(call.fingerprints or {}) do
    if fingerprint == other then
      return true
    end
  end
  return fingerprint == call.fingerprint
end

-- With a result the caller is told when the change was made: status, time, result.
local function reply_result(at, status, ...)
  if status ~= 'ok' then
    return reply(status, ...)
  end
  return reply(status, at, ...)
end

-- `abridged` makes a text of a long result that `again` makes that result of, together with the request; which is also
-- called for any other that is repeated.
local function change(apply, again, abridged)
  local instance = field('instance')
  local whose = call.key and (call.participant or ('h' .. call.generation))
  local key = call.key and (whose .. ' ' .. call.key)
  local stored
  if instance == call.instance then
    stored = key and recall_reply(whose, call.key)
  else
    -- The reply to the one who ended the session rests with its code.
    local last = redis.call('GET', RESERVATION)
    local ended, told = (last or ''):match('^ended (%S+) ?(.*)$')
    if key and ended == call.instance and told:sub(1, #key + 1) == key .. ' ' then
      stored = told:sub(#key + 2)
    elseif instance then
      return reply('unauthorized')
    else
      return reply('session-not-found')
    end
  end
  if stored then
    local fingerprint, body = stored:match('^(%S+) (.*)$')
    if not is_repeat(fingerprint) then
      return reply('idempotency-mismatch')
    end
    if instance ~= call.instance then
      local status, version, at = unpack(cjson.decode(body))
      return reply_result(at or now, status, version)
    end
    return reply_result(replied_at(whose, call.key) or now, unpack(again and again(body) or cjson.decode(body)))
  end
  local refusal = authorize()
  if refusal then
    return reply(refusal)
  end
  if is_decision_due() then
    return reply('decision-due')
  end
  local result = apply(key)
  if key and field('instance') then
    local text = cjson.encode(result)
    if abridged and #text > LONGEST_REPLY then
      text = abridged(result)
    end
    remember_reply(whose, call.key, call.fingerprint .. ' ' .. text)
  end
  return reply_result(now, unpack(result))
end
