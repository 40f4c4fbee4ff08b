-- Attaches a connection to a participant, who joins, comes back or is there already; whoever the connection was
-- before leaves.
-- call.stay: the order of the membership that goes on, if it does; call.joined_in: the epoch in which it was attached.
-- call.whole: whether the session is replied, too, as {field, value, ...}, its time of expiry, now.
-- Replies: ok, version, epoch, instance, participant, stay, when the code is free again, {movie, rating, ...} that were
-- cast, name, the session or nothing.
local refusal = unattachable()
if refusal then
  return reply(refusal)
end
local participant = call.participant
if call.generation then
  -- Who is in already becomes the host as the participant that they are.
  participant = field('tokenholder') or get(connections, 'c:' .. call.connection)
end
if not participant or participant == OBSERVERS then
  participant = call.newcomer
end
if field('k:' .. participant) == 'banned' then
  return reply('forbidden')
end

local entry = field('p:' .. participant)
local changed, enters = false, not entry
if call.recovering and not continued_by(call.recovery) then
  return reply('not-joined')
end
local stays = stays_of(participant)
-- Of whom nothing is known there is nothing to be found either.
local is_new = participant == call.newcomer and not entry and not stays.reason
if call.stay and not goes_on(stays, call.stay, call.joined_in) then
  return reply('not-joined')
end
local continued = continued_connection(call.recovery, call.connection)
local other = get(connections, 'c:' .. call.connection)
local attached = other == participant
if entry then
  if not attached and call.policy == 'reject' and connections_beside(participant, continued) > 0 then
    return reply('limit-reached', 'Already connected elsewhere')
  end
  local order, joined, name = entry:match('^(%d+)|(%d+)|(.*)$')
  if call.name and call.name ~= name then
    entry = order .. '|' .. joined .. '|' .. call.name
    put(session, 'p:' .. participant, entry)
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
  name = name or ('Guest ' .. add(session, 'guests', 1))
  local order = add(session, 'order', 1)
  entry = order .. '|' .. now .. '|' .. name
  put(session, 'p:' .. participant, entry)
  add(session, 'people', 1)
  if stays.since then
    put(connections, 's:' .. participant, stays.since .. ' ' .. order)
  end
  if not is_new then
    remove(connections, 'f:' .. participant)
    save(session)
    redis.call('ZREM', ABSENT, participant)
    redis.call('ZREM', FORMER, participant)
    remove(session, 'k:' .. participant, 'l:' .. participant)
  end
  changed = true
end
local ratings = {}
local cast = not is_new and redis.call('HGET', VOTES, participant)
if cast then
  local by_order = cjson.decode(cast)
  local fields = all_of(session)
  for index = 1, #fields, 2 do
    local rating = fields[index]:sub(1, 2) == 'm:' and by_order[fields[index + 1]:match('^(%d+)|')]
    if rating then
      ratings[#ratings + 1] = fields[index]:sub(3)
      ratings[#ratings + 1] = rating
    end
  end
end
if enters and #ratings > 0 then
  note_rated(participant, #ratings / 2)
end
local observed = false
if continued then
  local _, whose = drop_connection(continued)
  observed = whose == OBSERVERS
end
note_recovery(participant, call.connection, call.recovery)
if other and not attached then
  observed = observed or other == OBSERVERS
  changed = give_up(call.connection, other) or changed
end
if not attached then
  add_connection(call.connection, participant)
end
if observed and count_observers() then
  changed = true
end
if call.policy == 'newest' and get(connections, 'n:' .. participant) ~= '1' then
  disconnect(participant, call.connection, call.recovery)
end
if not is_new and field('d:' .. participant) then
  remove(session, 'd:' .. participant)
  changed = true
end
if call.policy == 'newest' and field('o:' .. participant) ~= call.connection then
  put(session, 'o:' .. participant, call.connection)
  changed = true
end
if call.generation and field('tokenholder') ~= participant then
  put(session, 'tokenholder', participant)
end
local host = field('host')
if (call.generation or not host) and host ~= participant then
  put(session, 'host', participant)
  changed = true
end
local at
if changed then
  at = commit(true)
else
  prolong()
  at = version()
end
local order, known_as = entry:match('^(%d+)|%d+|(.*)$')
return reply('ok', at, field('epoch'), field('instance'), participant, tonumber(order),
  free_at(), ratings, known_as, call.whole and {all_of(session), expiry(), now} or {})
