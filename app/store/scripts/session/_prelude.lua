-- What every script on a session shares.
--
-- KEYS: the keys of one session, all in one slot.
--   session      hash; see app/store/session_hash.py for its fields
--   votes        hash: participant -> JSON {movie order: rating}
--   connections  hash: c:<connection> -> participant, "~" for all who only watch;
--                n:<participant> -> number of its connections, a:<participant> -> their names;
--                r:<recovery id> -> "<participant> <connection>" as long as the id is good;
--                i:<participant> -> the recovery ids that are known, oldest first, ids -> their number;
--                f:<participant> -> "<reason>|<since>|<order>|<name>" of one who has gone;
--                s:<participant> -> "<since> <order>" of one who has come back after the grace time;
--                x:<replica> -> when the connections of a replica that had no lease were taken away
--   replies      hash: "<caller> <idempotency key>" -> fingerprint and the reply given; see _replies.lua
--   reservation  string that keeps the code taken while the session lives, and while the code rests after it
--   absent       zset: who is not in the session but has ratings that count, the longest absent first
--   former       zset: those who have gone, in the order in which they are forgotten
--   repliers     zset: who has replies, by the time at which the oldest has expired
--   outbox       zset: the events that wait to be sent, in order; see app/store/outboxes.py
-- ARGV[1]: the call, a JSON object; call.seen: epoch -> the lowest version at which the session can be, as far as the
-- caller has seen.
-- call.event: the id of an event that the step may write, and the milliseconds for which it is kept; without it there
-- is no receiver of events.
-- call.trace: the W3C traceparent that an announcement of the change carries, if any; it also carries the time.
-- Every script returns {relist, due, voided, announced, written, head, status, ...}: relist is the new time of expiry
-- when the list of sessions should hear of it, else 0; due is when the decision comes, if that has changed, else 0;
-- voided are recovery ids that continue nobody any more, each with 1 if that is to be remembered, else 0; announced is
-- how many announcements the replicas got; written is how many bytes of an event the step has written; head is where
-- the session stands now, as "<epoch>-<version>"; status is "ok" or the code of an error.
local SESSION, VOTES, CONNECTIONS, REPLIES, RESERVATION, ABSENT, FORMER, REPLIERS, OUTBOX = unpack(KEYS)
local call = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local relist, voided, news, written = 0, {}, {}, 0

-- Whose ratings have changed, for other connections than the one that changed them: {participant, connection}.
local rerated

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

-- The fields that replicas mirror (app/store/mirror.py): what is shown of the session, and who is in it. No secrets.
local MIRRORED = {title = true, locked = true, capacity = true, host = true, reveal = true, when = true, timer = true,
  ready = true, decision = true, observers = true}

-- What this call has set of them, null for what it has deleted.
local changes = {}

local function note_change(hash, name, value)
  if hash == session and (MIRRORED[name] or name:match('^[dkmoptv]:')) then
    changes[name] = value or cjson.null
  end
end

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
  note_change(hash, name, false)
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
    note_change(hash, name, value)
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
    'unjoined', 'when', 'timer', 'ready', 'decision'}
  names[#names + 1] = call.participant and 'p:' .. call.participant
  names[#names + 1] = call.movie and 'm:' .. call.movie
  for index, value in ipairs(redis.call('HMGET', SESSION, unpack(names))) do
    session.read[names[index]] = value
  end
end

-- When the decision comes, nil if nothing will bring it.
local function decide_at()
  local timer, ready = tonumber(field('timer')), tonumber(field('ready'))
  return timer and ready and math.min(timer, ready) or timer or ready
end

local due_before = decide_at()

-- Whether the time of the decision has come; then that has to be made before anything else changes.
local function is_decision_due()
  return due_before and due_before <= now
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

-- Replicas that mirror the session hear of its time of expiry by each announcement, and where that moves without one,
-- once in ten seconds; of a short lifetime, in a tenth of it.
local function is_expiry_news()
  return #news == 0 and moved.session and
    expires - (field('heard') or 0) >= math.min(10000, tonumber(field('lifetime')) / 10)
end

-- What an announcement says of a session that lives on. Of a large change it says that there is one.
local LARGEST_CHANGE = 16384

local function told_of(fields)
  local text = cjson.encode({expires = expiry(), fields = fields, rerated = rerated})
  return #text <= LARGEST_CHANGE and text or cjson.encode({expires = expiry(), rerated = rerated})
end

-- Writes all changes and expiries, then announces the commits. A key without an expiry would never go away.
local function write()
  local is_extended = is_expiry_news()
  if is_extended then
    put(session, 'heard', expires)
  end
  for _, hash in ipairs(opened) do
    save(hash)
  end
  if moved.session then
    redis.call('PEXPIREAT', SESSION, expires)
  end
  for index = 2, #KEYS do
    local key = KEYS[index]
    if key ~= OUTBOX and (moved.others or made[key]) then
      redis.call('PEXPIREAT', key, key == RESERVATION and free_at() or kept_until())
    end
  end
  for index, text in ipairs(news) do
    local words = string.format('%s %s %.0f', text, call.trace or '', now)
    if text ~= 'ended' then
      -- Only a new epoch is announced before another commit, and nothing of it is mirrored.
      words = words .. ' ' .. told_of(index == #news and changes or {})
    end
    redis.call('SPUBLISH', SESSION, words)
  end
  if is_extended then
    redis.call('SPUBLISH', SESSION, string.format('expires %.0f', expires))
  end
end

local function reply(...)
  local epoch, version, at = field('epoch'), field('version'), decide_at()
  write()
  return {relist, at ~= due_before and at or 0, voided, #news, written, epoch and (epoch .. '-' .. version) or '', ...}
end

-- Writes an event to the outbox, if there is a receiver: of which kind, in which session, and more of it as JSON.
local function tell_receiver(kind, instance, about)
  if not call.event then
    return
  end
  local text = string.format('%s %.0f %s %s %s', call.event.id, now, kind, redis.sha1hex(instance):sub(1, 20), about)
  local last = redis.call('ZRANGE', OUTBOX, -1, -1, 'WITHSCORES')[2] or 0
  redis.call('ZADD', OUTBOX, last + 1, text)
  redis.call('PEXPIRE', OUTBOX, call.event.kept)
  written = #text
end

-- Whether any listed movie has a rating; `liked`: one that is no veto.
local function has_ratings(liked)
  local fields = all_of(session)
  for index = 1, #fields, 2 do
    if fields[index]:sub(1, 2) == 't:' then
      local count, vetoes = fields[index + 1]:match('^(%d+) (%d+)')
      if count ~= '0' or (vetoes ~= '0' and not liked) then
        return true
      end
    end
  end
  return false
end

-- The time that a replica has to come by after the time of a decision.
local DECISION_SLACK = 10000

-- Once everybody has rated each movie the decision comes soon; whatever makes that untrue takes it back.
local function review()
  if field('when') ~= 'all-rated' or field('decision') then
    return
  end
  local movies, people = tonumber(field('films')), tonumber(field('people'))
  local complete = movies >= 2 and people >= 2 and tonumber(field('done') or 0) == people
  if not complete then
    remove(session, 'ready')
  elseif not field('ready') and has_ratings(true) then
    put(session, 'ready', now + field('delay'))
    prolong(field('delay') + DECISION_SLACK)
  end
end

-- One change, seen by everybody: the version grows and the replicas that have members hear that it did.
local function commit(extend)
  review()
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
    remove(session, 'observers')
    commit(false)
  end
end
