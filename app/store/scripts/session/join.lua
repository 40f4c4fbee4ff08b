-- Attaches a connection to a participant, who joins, comes back or is there already; whoever the connection was
-- before leaves.
-- call.stay: the order of the membership that goes on, if it does; call.joined_in: the epoch in which it was attached.
-- Replies: ok, version, epoch, instance, participant, stay, when the code is free again, {movie, rating, ...} that were
-- cast, name.
local instance = field('instance')
if not instance then
  return reply('session-not-found')
end
if call.instance and call.instance ~= instance then
  return reply('unauthorized')
end
-- A replica whose connections were taken away for want of a lease renews that before it attaches any.
local reaped = redis.call('HGET', connections, 'x:' .. call.connection:match('^[^.]*'))
if reaped and call.leased and call.leased <= tonumber(reaped) then
  return reply('unavailable')
end
local participant = call.participant
if call.generation then
  if tonumber(field('generation')) ~= call.generation then
    return reply('unauthorized')
  end
  -- Who is in already becomes the host as the participant that they are.
  participant = field('tokenholder') or redis.call('HGET', connections, 'c:' .. call.connection)
end
participant = participant or call.newcomer
if field('k:' .. participant) == 'banned' then
  return reply('forbidden')
end

local entry = field('p:' .. participant)
local changed = false
-- A recovered connection takes the place of the one that it continues, which may not be known to be lost yet.
local earlier = redis.call('HGET', connections, 'r:' .. call.recovery)
if call.recovering and not earlier then
  return reply('not-joined')
end
local stays = stays_of(participant)
if call.stay and not goes_on(stays, call.stay, call.joined_in) then
  return reply('not-joined')
end
if earlier then
  local connection = earlier:match(' (%S+)$')
  if connection ~= call.connection then
    drop_connection(connection)
  end
end
local other = redis.call('HGET', connections, 'c:' .. call.connection)
local attached = other == participant
if entry then
  if not attached and call.policy == 'reject' and redis.call('HEXISTS', connections, 'n:' .. participant) == 1 then
    return reply('limit-reached', 'Already connected elsewhere')
  end
  local order, joined, name = entry:match('^(%d+)|(%d+)|(.*)$')
  if call.name and call.name ~= name then
    entry = order .. '|' .. joined .. '|' .. call.name
    put('p:' .. participant, entry)
    changed = true
  end
else
  if field('locked') == '1' and not call.generation and not call.stay then
    return reply('session-locked')
  end
  if tonumber(field('people')) >= tonumber(field('capacity')) then
    return reply('session-full')
  end
  local name = call.name or stays.name or call.known_name
  name = name or ('Guest ' .. redis.call('HINCRBY', session, 'guests', 1))
  local order = redis.call('HINCRBY', session, 'order', 1)
  entry = order .. '|' .. now .. '|' .. name
  put('p:' .. participant, entry)
  redis.call('HINCRBY', session, 'people', 1)
  redis.call('ZREM', absent, participant)
  if stays.since then
    redis.call('HSET', connections, 's:' .. participant, stays.since .. ' ' .. order)
  end
  redis.call('HDEL', connections, 'f:' .. participant)
  redis.call('ZREM', former, participant)
  redis.call('HDEL', session, 'k:' .. participant, 'l:' .. participant)
  changed = true
end
note_recovery(participant, call.connection, call.recovery)
if other and not attached then
  if drop_connection(call.connection) then
    disconnect(other)
    remove_participant(other, 'left')
  end
end
if not attached then
  add_connection(call.connection, participant)
end
if call.policy == 'newest' and redis.call('HGET', connections, 'n:' .. participant) ~= '1' then
  disconnect(participant, call.connection, call.recovery)
end
if redis.call('HDEL', session, 'd:' .. participant) == 1 then
  changed = true
end
if call.policy == 'newest' and field('o:' .. participant) ~= call.connection then
  put('o:' .. participant, call.connection)
  changed = true
end
if call.generation and field('tokenholder') ~= participant then
  put('tokenholder', participant)
end
local host = field('host')
if (call.generation or not host) and host ~= participant then
  put('host', participant)
  changed = true
end
local at
if changed then
  at = commit(true)
else
  prolong(true)
  at = version()
end
local ratings = {}
local cast = redis.call('HGET', votes, participant)
if cast then
  local by_order = cjson.decode(cast)
  local fields = redis.call('HGETALL', session)
  for index = 1, #fields, 2 do
    local rating = fields[index]:sub(1, 2) == 'm:' and by_order[fields[index + 1]:match('^(%d+)|')]
    if rating then
      ratings[#ratings + 1] = fields[index]:sub(3)
      ratings[#ratings + 1] = rating
    end
  end
end
local order, known_as = entry:match('^(%d+)|%d+|(.*)$')
return reply('ok', at, field('epoch'), instance, participant, tonumber(order),
  redis.call('PEXPIRETIME', reservation), ratings, known_as)
