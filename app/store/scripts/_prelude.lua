-- What every script on a session shares.
--
-- KEYS: the keys of one session, all in one slot.
--   session      hash; see app/store/sessions.py for its fields
--   votes        hash: participant -> JSON {movie order: rating}
--   connections  hash: c:<connection> -> participant, n:<participant> -> number of its connections,
--                r:<recovery id> -> "<participant> <connection>"
--   replies      hash: "<caller> <idempotency key>" -> fingerprint and the reply given
--   reservation  string that keeps the code taken while the session lives, and while the code rests after it
--   absent       zset: who is not in the session but has ratings that count, the longest absent first
-- ARGV[1]: the call, a JSON object; call.seen: epoch -> the lowest version at which the session can be, as far as the
-- caller has seen.
-- call.trace: the W3C traceparent that an announcement of the change carries, if any; it also carries the time.
-- Every script returns {relist, voided, announced, head, status, ...}: relist is the new time of expiry when the list of
-- sessions should hear of it, else 0; voided are recovery ids that continue nobody any more; announced is how many
-- announcements the replicas got; head is where the session stands now, as "<epoch>-<version>"; status is "ok" or the
-- code of an error.
local session, votes, connections, replies, reservation, absent = unpack(KEYS)
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
  for _, name in ipairs(KEYS) do
    redis.call('PEXPIREAT', name, expires + (name == reservation and tonumber(field('rest')) or 0))
  end
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

-- As many people as were ever in the session at one time; one of an older version begins with those who are in it.
local function peak()
  local most, people = tonumber(field('peak') or 0), tonumber(field('people'))
  if people > most then
    put('peak', people)
  end
  return math.max(most, people)
end

-- Takes somebody's ratings out of the tallies; how many they were.
local function drop_ratings(participant)
  local cast, number = redis.call('HGET', votes, participant), 0
  for order, rating in pairs(cast and cjson.decode(cast) or {}) do
    add_to_tally(order, rating, -1)
    number = number + 1
  end
  redis.call('HDEL', votes, participant)
  return number
end

-- The ratings of the absent count for as many people as the peak; beyond that those of the longest absent go, a bounded
-- number of ratings in one step. Replies: whether any went, whether there is more to do.
local droppable = 2000

local function limit_absent()
  local most, changed = peak(), false
  while redis.call('ZCARD', absent) > most do
    if droppable <= 0 then
      return changed, true
    end
    local longest = redis.call('ZPOPMIN', absent)[1]
    -- An older version lets people in without taking them off the list.
    if not field('p:' .. longest) then
      droppable = droppable - drop_ratings(longest)
      changed = true
    end
    droppable = droppable - 1
  end
  return changed, false
end

-- `returns`: the grace time is over, so nobody has meant to leave.
local function remove_participant(participant, reason, returns)
  peak()
  redis.call('HDEL', session, 'p:' .. participant, 'd:' .. participant, 'o:' .. participant)
  redis.call('HINCRBY', session, 'people', -1)
  if reason then
    put('k:' .. participant, reason)
  end
  if not returns and field('leavers') == 'drop' then
    drop_ratings(participant)
  elseif redis.call('HEXISTS', votes, participant) == 1 then
    redis.call('ZADD', absent, redis.call('HINCRBY', session, 'order', 1), participant)
    limit_absent()
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

-- Whether the caller has the creator's rights, whoever was promoted in between.
local function holds_token()
  return call.generation or caller == field('tokenholder')
end

local function void_token()
  redis.call('HINCRBY', session, 'generation', 1)
  redis.call('HDEL', session, 'tokenholder')
end

-- `again` is done when the change was done before, if anything is.
local function change(apply, again)
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
    if again then
      again()
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
