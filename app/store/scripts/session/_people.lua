-- Who is in a session, who was, how they come back, and whose ratings count.

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

-- How many of the listed movies somebody who is in the session has rated; `done` is how many people have rated all.
local function note_rated(participant, number)
  local movies, before = tonumber(field('films')), tonumber(field('v:' .. participant) or 0)
  if number == before then
    return
  end
  if number > 0 then
    put(session, 'v:' .. participant, number)
  else
    remove(session, 'v:' .. participant)
  end
  add(session, 'done', (number == movies and 1 or 0) - (before == movies and 1 or 0))
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

-- All who only watch have this in place of a participant's id.
local OBSERVERS = '~'

local function put_ids(participant, ids, before)
  put_words('i:' .. participant, ids)
  if participant ~= OBSERVERS then
    add(connections, 'ids', #ids - before)
  end
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

-- A recovery id continues a connection from now on; of each participant the newest three are known, of observers forty.
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
  while #ids > (participant == OBSERVERS and 40 or 3) do
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

-- The connection that another one continues by a recovery id, if it is not the same; it may not be known to be lost yet.
local function continued_connection(recovery, connection)
  local continued = (get(connections, 'r:' .. recovery) or ''):match(' (%S+)$')
  return continued ~= connection and continued or nil
end

-- How many connections a participant has besides this one.
local function connections_beside(participant, connection)
  local number = tonumber(get(connections, 'n:' .. participant) or 0)
  return connection and get(connections, 'c:' .. connection) == participant and number - 1 or number
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

-- Shows members how many watch; whether that has changed.
local function count_observers()
  local number = get(connections, 'n:' .. OBSERVERS) or '0'
  if number == (field('observers') or '0') then
    return false
  end
  put(session, 'observers', number)
  return true
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

-- Why this connection cannot be attached to anybody, if so.
local function unattachable()
  if not field('instance') then
    return 'session-not-found'
  end
  if call.instance and call.instance ~= field('instance') then
    return 'unauthorized'
  end
  -- A replica whose connections were taken away for want of a lease renews that before it attaches any.
  local reaped = get(connections, 'x:' .. call.connection:match('^[^.]*'))
  if reaped and call.leased and call.leased <= tonumber(reaped) then
    return 'unavailable'
  end
  if call.generation and tonumber(field('generation')) ~= call.generation then
    return 'unauthorized'
  end
  -- Whoever shows a token, continues something or is in the session need not know the passcode.
  local is_known = call.participant or call.generation or call.recovering or call.stay
  local passcode = not is_known and field('passcode')
  if passcode and passcode ~= call.proved and not get(connections, 'c:' .. call.connection) then
    return 'passcode-required'
  end
  return is_decision_due() and 'decision-due' or nil
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
  note_rated(participant, 0)
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

-- A connection becomes another participant's, or nobody's: whoever has no other one leaves. Whether somebody has left.
local function give_up(connection, participant)
  if not drop_connection(connection) or participant == OBSERVERS then
    return false
  end
  disconnect(participant)
  remove_participant(participant, 'left')
  return true
end
