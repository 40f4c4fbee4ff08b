-- Attaches a connection that only watches: it is no participant's, and whoever the connection was before leaves.
-- call.stay: it has watched before. call.whole: as for join.lua.
-- Replies: like join.lua, with "~" as the participant.
local MOST_OBSERVERS = 20

local refusal = unattachable()
if refusal then
  return reply(refusal)
end
if call.participant and field('k:' .. call.participant) == 'banned' then
  return reply('forbidden')
end
if call.recovering and not continued_by(call.recovery) then
  return reply('not-joined')
end
local other = get(connections, 'c:' .. call.connection)
local is_known = other or call.stay or call.generation or (call.participant and field('p:' .. call.participant))
if field('locked') == '1' and not is_known then
  return reply('session-locked')
end
local attached = other == OBSERVERS
local continued = continued_connection(call.recovery, call.connection)
if not attached and connections_beside(OBSERVERS, continued) >= MOST_OBSERVERS then
  return reply('limit-reached', 'As many people observe the session as it allows')
end
if continued then
  drop_connection(continued)
end
note_recovery(OBSERVERS, call.connection, call.recovery)
local changed = other and not attached and give_up(call.connection, other)
if not attached then
  add_connection(call.connection, OBSERVERS)
end
local at
if count_observers() or changed then
  at = commit(true)
else
  prolong()
  at = version()
end
return reply('ok', at, field('epoch'), field('instance'), OBSERVERS, 0, free_at(), {}, '',
  call.whole and {all_of(session), expiry(), now} or {})
