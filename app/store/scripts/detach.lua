-- Takes a connection away; its participant stays for a grace time after the last one. call.recovery: the id that is
-- void, of a connection that its client has closed for good.
-- Replies: ok, version, when to look for participants to remove (0: nobody new).
if not field('instance') then
  return reply('session-not-found')
end
if call.recovery then
  void_recovery(call.recovery)
end
local last, participant = drop_connection(call.connection)
if not last or not field('p:' .. participant) then
  return reply('ok', version(), 0)
end
local due = now + call.grace
put('d:' .. participant, due)
return reply('ok', commit(false), due)
