-- Detaches connections. Their participants stay for a grace time after the last one.
-- call.connections: {connection, recovery id that becomes void, or ""}.
-- Replies: ok, when to look for participants to remove (0: no new ones), version.
if not field('instance') then
  return reply('session-not-found')
end
local due, observed = 0, false
for _, gone in ipairs(call.connections) do
  if gone[2] ~= '' then
    void_recovery(gone[2])
  end
  local last, participant = drop_connection(gone[1])
  if participant == OBSERVERS then
    observed = true
  elseif last and field('p:' .. participant) then
    due = now + call.grace
    put(session, 'd:' .. participant, due)
  end
end
if observed and count_observers() or due > 0 then
  commit(false)
end
return reply('ok', due, version())
