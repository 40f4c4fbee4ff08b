-- What every script on a session shares.
--
-- KEYS: the five keys of one session, all in one slot.
--   session      hash; see app/store/sessions.py for its fields
--   votes        hash: participant -> JSON {movie order: rating}
--   connections  hash: c:<connection> -> participant, n:<participant> -> number of its connections,
--                r:<recovery id> -> "<participant> <connection>"
--   replies      hash: "<caller> <idempotency key>" -> fingerprint and the reply given
--   reservation  string that keeps the code taken while the session lives, and while the code rests after it
-- ARGV[1]: the call, a JSON object; call.seen: epoch -> the lowest version at which the session can be, as far as the
-- caller has seen.
-- call.trace: the W3C traceparent that an announcement of the change carries, if any; it also carries the time.
-- Every script returns {relist, voided, announced, head, status, ...}: relist is the new time of expiry when the list of
-- sessions should hear of it, else 0; voided are recovery ids that continue nobody any more; announced is how many
-- announcements the replicas got; head is where the session stands now, as "<epoch>-<version>"; status is "ok" or the
-- code of an error.
local session, votes, connections, replies, reservation = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local relist, voided, announced = 0, {}, 0

local function field(name)
  return redis.call('HGET', session, name)
end

local function put(...)
  redis.call('HSET', session, ...)
end

local function reply(...)
  local epoch, version = unpack(redis.call('HMGET', session, 'epoch', 'version'))
  return {relist, voided, announced, epoch and (epoch .. '-' .. version) or '', ...}
end

-- The session lives on for its lifetime, at the most until its deadline. New keys get their lifetime here, too.
local function prolong(extend)
  local expires = redis.call('PEXPIRETIME', session)
  if extend then
    local stored = redis.call('HMGET', session, 'lifetime', 'deadline', 'listed')
    local lifetime, listed = tonumber(stored[1]), tonumber(stored[3])
    expires = math.max(expires, math.min(now + lifetime, tonumber(stored[2])))
    if expires - listed > lifetime / 10 then
      put('listed', expires)
      relist = expires
    end
  end
  for index = 1, 4 do
    redis.call('PEXPIREAT', KEYS[index], expires)
  end
  redis.call('PEXPIREAT', reservation, expires + tonumber(field('rest')))
end

local function announce(news)
  redis.call('SPUBLISH', session, string.format('%s %s %.0f', news, call.trace or '', now))
  announced = announced + 1
end

-- One change, seen by everybody: the version grows and the replicas that have members hear that it did.
local function commit(extend)
  local version = redis.call('HINCRBY', session, 'version', 1)
  prolong(extend)
  announce(field('epoch') .. '-' .. version)
  return version
end

local function version()
  return tonumber(field('version'))
end

-- Below a version that somebody was shown changes were lost: before anything else happens a new epoch says so, once.
local epoch = field('epoch')
local lowest = epoch and call.seen and call.seen[epoch]
if lowest and version() < lowest then
  put('epoch', redis.sha1hex(epoch .. ' ' .. time[1] .. ' ' .. time[2]):sub(1, 15))
  -- Who is connected is not known any more: those who are say so when they see the new epoch.
  for _, name in ipairs(redis.call('HKEYS', connections)) do
    if name:sub(1, 2) ~= 'r:' then
      redis.call('HDEL', connections, name)
    end
  end
  commit(false)
end

local function add_to_tally(order, rating, sign)
  local tally = field('t:' .. order)
  if not tally then
    return
  end
  local count, vetoes, points = tally:match('^(%d+) (%d+) (%d+)$')
  if rating == 1 then
    vetoes = vetoes + sign
  else
    count = count + sign
    points = points + sign * (rating - 1) * 25
  end
  put('t:' .. order, string.format('%d %d %d', count, vetoes, points))
end

-- Strictly one host while anyone is there: the longest present, those who are connected first.
local function promote()
  local away, chosen, chosen_rank = {}, nil, nil
  local fields = redis.call('HGETALL', session)
  for index = 1, #fields, 2 do
    if fields[index]:sub(1, 2) == 'd:' then
      away[fields[index]:sub(3)] = true
    end
  end
  for index = 1, #fields, 2 do
    if fields[index]:sub(1, 2) == 'p:' then
      local participant = fields[index]:sub(3)
      local rank = tonumber(fields[index + 1]:match('^(%d+)|')) + (away[participant] and 2 ^ 40 or 0)
      if not chosen or rank < chosen_rank then
        chosen, chosen_rank = participant, rank
      end
    end
  end
  if chosen then
    put('host', chosen)
  else
    redis.call('HDEL', session, 'host')
  end
end

local function void_recovery(recovery)
  if redis.call('HDEL', connections, 'r:' .. recovery) == 1 then
    voided[#voided + 1] = recovery
  end
end

-- Nothing is left by which a participant could act or come back without a token, but what the caller names.
local function disconnect(participant, connection, recovery)
  local fields = redis.call('HGETALL', connections)
  for index = 1, #fields, 2 do
    local kind, name = fields[index]:sub(1, 2), fields[index]:sub(3)
    if kind ~= 'n:' and fields[index + 1]:match('^%S+') == participant then
      if kind == 'r:' and name ~= recovery then
        void_recovery(name)
      elseif kind == 'c:' and name ~= connection then
        redis.call('HDEL', connections, fields[index])
        redis.call('HINCRBY', connections, 'n:' .. participant, -1)
      end
    end
  end
  if redis.call('HGET', connections, 'n:' .. participant) == '0' then
    redis.call('HDEL', connections, 'n:' .. participant)
  end
end

local function remove_participant(participant, reason)
  redis.call('HDEL', session, 'p:' .. participant, 'd:' .. participant, 'o:' .. participant)
  redis.call('HINCRBY', session, 'people', -1)
  if reason then
    put('k:' .. participant, reason)
  end
  if field('leavers') == 'drop' then
    local cast = redis.call('HGET', votes, participant)
    for order, rating in pairs(cast and cjson.decode(cast) or {}) do
      add_to_tally(order, rating, -1)
    end
    redis.call('HDEL', votes, participant)
  end
  if field('host') == participant then
    promote()
  end
end

-- Takes a connection away; true when it was its participant's last one.
local function drop_connection(connection)
  local participant = redis.call('HGET', connections, 'c:' .. connection)
  if not participant then
    return false
  end
  redis.call('HDEL', connections, 'c:' .. connection)
  if redis.call('HINCRBY', connections, 'n:' .. participant, -1) > 0 then
    return false, participant
  end
  redis.call('HDEL', connections, 'n:' .. participant)
  return true, participant
end

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

local function change(apply)
  local instance = field('instance')
  local key = call.key and ((call.participant or ('h' .. call.generation)) .. ' ' .. call.key)
  local stored
  if instance == call.instance then
    stored = key and redis.call('HGET', replies, key)
  else
    -- The reply to the one who ended the session rests with its code.
    local last = redis.call('GET', reservation)
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
    if fingerprint ~= call.fingerprint then
      return reply('idempotency-mismatch')
    end
    return reply(unpack(cjson.decode(body)))
  end
  local refusal = authorize()
  if refusal then
    return reply(refusal)
  end
  if key and redis.call('HLEN', replies) >= 20000 then
    return reply('limit-reached', 'Too many idempotency keys in this session')
  end
  local result = apply(key)
  if key and redis.call('EXISTS', session) == 1 then
    redis.call('HSET', replies, key, call.fingerprint .. ' ' .. cjson.encode(result))
    prolong(false)
  end
  return reply(unpack(result))
end
