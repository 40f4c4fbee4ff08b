-- Detaches all connections of a dead replica, or all but those in a list.
-- Replies: ok, when to look for participants to remove (0: no new ones).
if not field('instance') then
  return reply('session-not-found')
end
local prefix = 'c:' .. call.replica .. '.'
local due, observed = 0, false
local living = {}
for _, name in ipairs(call.living or {}) do
  living['c:' .. name] = true
end
if not call.living then
  -- Later commands that the replica sent before do not count; see join.lua.
  put(connections, 'x:' .. call.replica, now)
end
for _, name in ipairs(names_of(connections)) do
  if name:sub(1, #prefix) == prefix and not living[name] then
    local last, participant = drop_connection(name:sub(3))
    if participant == OBSERVERS then
      observed = true
    elseif last and field('p:' .. participant) then
      due = now + call.grace
      put(session, 'd:' .. participant, due)
    end
  end
end
if observed and count_observers() or due > 0 then
  commit(false)
end
return reply('ok', due)
