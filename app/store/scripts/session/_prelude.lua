-- What every script on a session shares.
--
-- KEYS: the keys of one session, all in one slot.
--   session      hash; see app/store/sessions.py for its fields
--   votes        hash: participant -> JSON {movie order: rating}
--   connections  hash: c:<connection> -> participant; n:<participant> -> number of its connections,
--                a:<participant> -> their names; r:<recovery id> -> "<participant> <connection>" as long as the id is
--                good, i:<participant> -> the recovery ids that are known, oldest first, ids -> their number;
--                f:<participant> -> "<reason>|<since>|<order>|<name>" of one who has gone;
--                s:<participant> -> "<since> <order>" of one who has come back after the grace time;
--                x:<replica> -> when the connections of a replica that had no lease were taken away
--   replies      hash: "<caller> <idempotency key>" -> fingerprint and the reply given; see _replies.lua
--   reservation  string that keeps the code taken while the session lives, and while the code rests after it
--   absent       zset: who is not in the session but has ratings that count, the longest absent first
--   former       zset: those who have gone, in the order in which they are forgotten
--   repliers     zset: who has replies, by the time at which the oldest has expired
-- ARGV[1]: the call, a JSON object; call.seen: epoch -> the lowest version at which the session can be, as far as the
-- caller has seen.
-- call.trace: the W3C traceparent that an announcement of the change carries, if any; it also carries the time.
-- Every script returns {relist, voided, announced, head, status, ...}: relist is the new time of expiry when the list of
-- sessions should hear of it, else 0; voided are recovery ids that continue nobody any more, each with 1 if that is to
-- be remembered, else 0; announced is how many announcements the replicas got; head is where the session stands now, as
-- "<epoch>-<version>"; status is "ok" or the code of an error.
local SESSION, VOTES, CONNECTIONS, REPLIES, RESERVATION, ABSENT, FORMER, REPLIERS = unpack(KEYS)
local call = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local relist, voided, news = 0, {}, {}

-- The hash of the session expires on time. The other keys mean nothing without it; they expire a little later, so that
-- most calls need not move them. `moved`: the expiries that this call moves; `made`: the keys that it may have created.
local expires, kept, moved, made = nil, nil, {}, {}

-- When the session expires.
local function expiry()
  expires = expires or redis.call('PEXPIRETIME', SESSION)
  return expires
end

local opened = {}

-- A hash whose changes are collected, to be written at once.
local function open(key)
  local hash = {key = key, read = {}, changed = {}}
  opened[#opened + 1] = hash
  return hash
end

local session = open(SESSION)

local connections = open(CONNECTIONS)

local replies = open(REPLIES)

-- The value of a field, false if it does not exist.
local function get(hash, name)
  local value = hash.changed[name]
  if value == nil then
    value = hash.read[name]
  end
  if value == nil then
    value = redis.call('HGET', hash.key, name)
  end
  return value
end

local function put(hash, name, value)
  hash.changed[name] = type(value) == 'number' and string.format('%.0f', value) or value
end

local function remove(hash, ...)
  for _, name in ipairs({...}) do
    hash.changed[name] = false
  end
end

-- Removes a field immediately: if its first write frees memory, a script may go on to write in a full Redis.
local function free(hash, name)
  redis.call('HDEL', hash.key, name)
  hash.read[name], hash.changed[name] = false, nil
end

-- Adds a number to a field and returns the sum.
local function add(hash, name, number)
  local sum = (get(hash, name) or 0) + number
  put(hash, name, sum)
  return sum
end

local function save(hash)
  if next(hash.changed) == nil then
    return
  end
  local values, gone, new = {}, {}, 0
  for name, value in pairs(hash.changed) do
    if value then
      values[#values + 1] = name
      values[#values + 1] = value
    else
      gone[#gone + 1] = name
    end
  end
  hash.read, hash.changed = {}, {}
  -- Lua's stack limits the number of arguments to a few thousand.
  for first = 1, #values, 1000 do
    new = new + redis.call('HSET', hash.key, unpack(values, first, math.min(#values, first + 999)))
  end
  if new > 0 and new == #values / 2 then
    made[hash.key] = true
  end
  for first = 1, #gone, 1000 do
    redis.call('HDEL', hash.key, unpack(gone, first, math.min(#gone, first + 999)))
  end
end

-- The names of all fields, as stored now.
local function names_of(hash)
  save(hash)
  return redis.call('HKEYS', hash.key)
end

-- The names and values of all fields, alternating.
local function all_of(hash)
  save(hash)
  return redis.call('HGETALL', hash.key)
end

local function field(name)
  return get(session, name)
end

-- Most scripts need these fields; they are read with one command.
do
  local names = {'instance', 'epoch', 'version', 'host', 'people', 'lifetime', 'deadline', 'listed', 'rest',
    'unjoined'}
  names[#names + 1] = call.participant and 'p:' .. call.participant
  names[#names + 1] = call.movie and 'm:' .. call.movie
  for index, value in ipairs(redis.call('HMGET', SESSION, unpack(names))) do
    session.read[names[index]] = value
  end
end

-- Sets the score of a member of a sorted set.
local function enlist(key, score, member)
  if redis.call('ZADD', key, score, member) == 1 then
    made[key] = true
  end
end

-- When the other keys expire; the reservation of the code lives longer, by its rest.
local function kept_until()
  kept = kept or redis.call('PEXPIRETIME', RESERVATION) - (field('rest') or 0)
  return kept
end

local function free_at()
  return kept_until() + (field('rest') or 0)
end

-- The session lives on for its lifetime, a shorter one until somebody has joined, or `least` where that is longer; at
-- the most until its deadline.
local function prolong(least)
  local lifetime, unjoined = tonumber(field('lifetime')), field('unjoined')
  if unjoined and tonumber(field('people')) > 0 then
    remove(session, 'unjoined')
  elseif unjoined then
    lifetime = tonumber(unjoined)
  end
  local promised = math.min(now + math.max(lifetime, least or 0), tonumber(field('deadline')))
  if promised > expiry() then
    expires, moved.session = promised, true
  end
  if expires > kept_until() then
    kept, moved.others = expires + math.min(2000, math.floor(lifetime / 100)), true
  end
  if expires - field('listed') > lifetime / 10 then
    put(session, 'listed', expires)
    relist = expires
  end
end

-- Writes all changes and expiries, then announces the commits. A key without an expiry would never go away.
local function write()
  for _, hash in ipairs(opened) do
    save(hash)
  end
  if moved.session then
    redis.call('PEXPIREAT', SESSION, expires)
  end
  for index = 2, #KEYS do
    local key = KEYS[index]
    if moved.others or made[key] then
      redis.call('PEXPIREAT', key, key == RESERVATION and free_at() or kept_until())
    end
  end
  for _, text in ipairs(news) do
    redis.call('SPUBLISH', SESSION, string.format('%s %s %.0f', text, call.trace or '', now))
  end
end

local function reply(...)
  local epoch, version = field('epoch'), field('version')
  write()
  return {relist, voided, #news, epoch and (epoch .. '-' .. version) or '', ...}
end

-- One change, seen by everybody: the version grows and the replicas that have members hear that it did.
local function commit(extend)
  local version = add(session, 'version', 1)
  if extend then
    prolong()
  end
  news[#news + 1] = field('epoch') .. '-' .. version
  return version
end

local function version()
  return tonumber(field('version'))
end

-- Below a version that somebody was shown changes were lost: before anything else happens a new epoch says so, once.
do
  local epoch = field('epoch')
  local lowest = epoch and call.seen and call.seen[epoch]
  if lowest and version() < lowest then
    -- Whoever joined later than this in the epoch that ends is not known here.
    local lost = {}
    for ended in (field('lost') or ''):gmatch('%S+ %d+') do
      lost[#lost + 1] = ended
    end
    lost[#lost + 1] = epoch .. ' ' .. field('order')
    put(session, 'lost', table.concat(lost, ' ', math.max(1, #lost - 7)))
    put(session, 'epoch', redis.sha1hex(epoch .. ' ' .. time[1] .. ' ' .. time[2]):sub(1, 15))
    -- Who is connected is not known any more: those who are say so when they see the new epoch.
    for _, name in ipairs(names_of(connections)) do
      if name:match('^[can]:') then
        remove(connections, name)
      end
    end
    commit(false)
  end
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
  put(session, 't:' .. order, string.format('%d %d %d', count, vetoes, points))
end

-- Strictly one host while anyone is there: the longest present, those who are connected first.
local function promote()
  local away, chosen, chosen_rank = {}, nil, nil
  local fields = all_of(session)
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
    put(session, 'host', chosen)
  else
    remove(session, 'host')
  end
end

-- Of a sorted set; with commands that a user of the server as documented has always had.
local function size(name)
  return redis.call('ZCOUNT', name, '-inf', '+inf')
end

local function first(name)
  return redis.call('ZRANGE', name, 0, 0)[1]
end

local function words(text)
  local found = {}
  for word in (text or ''):gmatch('%S+') do
    found[#found + 1] = word
  end
  return found
end

-- The same words without one of them, if it is there.
local function without(all, word)
  local rest = {}
  for _, other in ipairs(all) do
    if other ~= word then
      rest[#rest + 1] = other
    end
  end
  return rest
end

local function put_words(name, all)
  if #all == 0 then
    remove(connections, name)
  else
    put(connections, name, table.concat(all, ' '))
  end
end

-- The recovery ids that are known of a participant.
local function ids_of(participant)
  return words(get(connections, 'i:' .. participant))
end

local function put_ids(participant, ids, before)
  put_words('i:' .. participant, ids)
  add(connections, 'ids', #ids - before)
end

-- The participant that a recovery id continues, if it is good.
local function continued_by(recovery)
  return (get(connections, 'r:' .. recovery) or ''):match('^%S+')
end

local function void_recovery(recovery)
  if get(connections, 'r:' .. recovery) then
    free(connections, 'r:' .. recovery)
    voided[#voided + 1] = recovery
    voided[#voided + 1] = 1
  end
end

-- Forgets that there was a recovery id of this participant, unless it continues another one by now.
local function forget_recovery(participant, recovery)
  local owner = continued_by(recovery)
  if owner and owner ~= participant then
    return
  end
  remove(connections, 'r:' .. recovery)
  voided[#voided + 1] = recovery
  voided[#voided + 1] = 0
end

-- Forgets those who have gone while there are more than twice as many of them, or of recovery ids, as people may be
-- there; a few at a time.
local function forget_former()
  local most = 2 * tonumber(field('capacity'))
  for _ = 1, 8 do
    local ids = tonumber(get(connections, 'ids') or 0)
    if ids <= most and size(FORMER) <= most then
      return
    end
    local participant = first(FORMER)
    if not participant then
      return
    end
    -- Replicas of an earlier release do not take those off who come back.
    if not field('p:' .. participant) then
      local known = ids_of(participant)
      for _, recovery in ipairs(known) do
        forget_recovery(participant, recovery)
      end
      put_ids(participant, {}, #known)
    end
    local record = get(connections, 'f:' .. participant)
    if record and record:match('^[^|]+') ~= 'away' then
      -- From now on it would not be known of everybody who was told to go.
      remove(session, 'lost')
    end
    remove(connections, 'f:' .. participant)
    redis.call('ZREM', FORMER, participant)
  end
end

-- A recovery id continues a connection from now on; of each participant the newest three are known.
local function note_recovery(participant, connection, recovery)
  local owner = continued_by(recovery)
  if owner and owner ~= participant then
    local theirs = ids_of(owner)
    put_ids(owner, without(theirs, recovery), #theirs)
  end
  put(connections, 'r:' .. recovery, participant .. ' ' .. connection)
  local before = ids_of(participant)
  local ids = without(before, recovery)
  ids[#ids + 1] = recovery
  while #ids > 3 do
    forget_recovery(participant, table.remove(ids, 1))
  end
  put_ids(participant, ids, #before)
  forget_former()
end

local function add_connection(connection, participant)
  put(connections, 'c:' .. connection, participant)
  add(connections, 'n:' .. participant, 1)
  local names = without(words(get(connections, 'a:' .. participant)), connection)
  names[#names + 1] = connection
  put_words('a:' .. participant, names)
end

-- Takes a connection away; true when it was its participant's last one.
local function drop_connection(connection)
  local participant = get(connections, 'c:' .. connection)
  if not participant then
    return false
  end
  free(connections, 'c:' .. connection)
  put_words('a:' .. participant, without(words(get(connections, 'a:' .. participant)), connection))
  if add(connections, 'n:' .. participant, -1) > 0 then
    return false, participant
  end
  remove(connections, 'n:' .. participant, 'a:' .. participant)
  return true, participant
end

-- Nothing is left by which a participant could act or come back without a token, but what the caller names.
local function disconnect(participant, connection, recovery)
  for _, id in ipairs(ids_of(participant)) do
    if id ~= recovery and continued_by(id) == participant then
      void_recovery(id)
    end
  end
  local function drop_others(names)
    for _, name in ipairs(names) do
      if name ~= connection and get(connections, 'c:' .. name) == participant then
        drop_connection(name)
      end
    end
  end
  drop_others(words(get(connections, 'a:' .. participant)))
  local kept = connection and get(connections, 'c:' .. connection) == participant and 1 or 0
  if tonumber(get(connections, 'n:' .. participant) or 0) > kept then
    -- Replicas of an earlier release have attached some, and do not keep the list.
    local names = {}
    for _, name in ipairs(names_of(connections)) do
      if name:sub(1, 2) == 'c:' then
        names[#names + 1] = name:sub(3)
      end
    end
    drop_others(names)
  end
end

-- As many people as were ever in the session at one time; one of an older version begins with those who are in it.
local function peak()
  local most, people = tonumber(field('peak') or 0), tonumber(field('people'))
  if people > most then
    put(session, 'peak', people)
  end
  return math.max(most, people)
end

-- Takes somebody's ratings out of the tallies; how many they were.
local function drop_ratings(participant)
  local cast, number = redis.call('HGET', VOTES, participant), 0
  for order, rating in pairs(cast and cjson.decode(cast) or {}) do
    add_to_tally(order, rating, -1)
    number = number + 1
  end
  redis.call('HDEL', VOTES, participant)
  return number
end

-- The ratings of the absent count for as many people as the peak; beyond that those of the longest absent go, a bounded
-- number of ratings in one step. Replies: whether any went, whether there is more to do.
local droppable = 2000

local function limit_absent()
  local most, changed = peak(), false
  while size(ABSENT) > most do
    if droppable <= 0 then
      return changed, true
    end
    local longest = first(ABSENT)
    redis.call('ZREM', ABSENT, longest)
    -- An older version lets people in without taking them off the list.
    if not field('p:' .. longest) then
      droppable = droppable - drop_ratings(longest)
      changed = true
    end
    droppable = droppable - 1
  end
  return changed, false
end

-- The orders under which somebody has been in the session since, but for grace times, they joined it; `reason` is why
-- one who has gone went, "away" for a grace time that was over.
local function stays_of(participant)
  local entry = field('p:' .. participant)
  if entry then
    local order = tonumber(entry:match('^(%d+)|'))
    local since, current = (get(connections, 's:' .. participant) or ''):match('^(%d+) (%d+)$')
    return {since = tonumber(current) == order and tonumber(since) or order, order = order}
  end
  local told = field('k:' .. participant)
  local record = get(connections, 'f:' .. participant)
  local reason, since, order, name = (record or ''):match('^([^|]+)|(%d+)|(%d+)|(.*)$')
  if reason == 'away' and not told then
    return {reason = reason, since = tonumber(since), order = tonumber(order), name = name}
  elseif told or reason then
    return {reason = told or reason}
  end
  -- As replicas of an earlier release remember it.
  local known_as = field('l:' .. participant)
  return known_as and {reason = 'away', since = 0, order = math.huge, name = known_as} or {}
end

-- Whether the membership that began with this order, in this epoch if it is told, goes on.
local function goes_on(stays, order, joined_in)
  if stays.since and order >= stays.since and (not stays.reason or order <= stays.order) then
    return true
  end
  -- Redis has lost that somebody joined, and nobody has told them to go since.
  local lost = joined_in and joined_in ~= field('epoch') and field('lost')
  if not lost or (stays.reason and stays.reason ~= 'away') then
    return false
  end
  local last = tonumber(lost:match('%d+$'))
  for ended, known in lost:gmatch('(%S+) (%d+)') do
    if ended == joined_in then
      last = tonumber(known)
    end
  end
  return order > last
end

-- Rooms and replicas of earlier releases see in the session itself why somebody was told to go: all who are banned, and
-- the newest 64 others.
local function tell(participant, reason)
  put(session, 'k:' .. participant, reason)
  if reason == 'banned' then
    add(session, 'bans', 1)
    return
  end
  local told = without(words(field('told')), participant)
  told[#told + 1] = participant
  if #told > 64 then
    local oldest = table.remove(told, 1)
    if field('k:' .. oldest) ~= 'banned' then
      remove(session, 'k:' .. oldest)
    end
  end
  put(session, 'told', table.concat(told, ' '))
end

-- `reason`: away, when the grace time is over, left, kicked or banned. It is on record until others have gone; those
-- whose grace time is over stay on it the longest.
local function remove_participant(participant, reason)
  local stays = stays_of(participant)
  local name = field('p:' .. participant):match('^%d+|%d+|(.*)$')
  local record = string.format('%s|%d|%d|%s', reason, stays.since, stays.order, name)
  put(connections, 'f:' .. participant, record)
  remove(connections, 's:' .. participant)
  enlist(FORMER, version() + (reason == 'away' and 2 ^ 40 or 0), participant)
  peak()
  remove(session, 'p:' .. participant, 'd:' .. participant, 'o:' .. participant)
  add(session, 'people', -1)
  if reason ~= 'away' and field('leavers') == 'drop' then
    drop_ratings(participant)
  elseif redis.call('HEXISTS', VOTES, participant) == 1 then
    enlist(ABSENT, add(session, 'order', 1), participant)
    limit_absent()
  end
  if field('host') == participant then
    promote()
  end
  forget_former()
end

