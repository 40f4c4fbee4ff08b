-- Ends a session whose time is over: what is left of it goes, and the replicas hear that it has ended. Only the
-- reservation of its code stays, which says that this was done.
-- Replies: ok, when the session expires (0: it has).
if field('instance') then
  return reply('ok', expiry())
end
local holder = redis.call('GET', RESERVATION)
if not holder or holder:find(' ', 1, true) then
  return reply('ok', 0)
end
redis.call('SET', RESERVATION, 'expired ' .. holder, 'KEEPTTL')
tell_receiver('session.ended', holder, '{"reason":"expired"}')
redis.call('DEL', VOTES, CONNECTIONS, REPLIES, ABSENT, FORMER, REPLIERS)
news[#news + 1] = 'ended'
return reply('ok', 0)
