-- Somebody is there: the session lives on. No change, so no new version. Replies: ok, now, time of expiry, deadline,
-- lifetime.
if not field('instance') then
  return reply('session-not-found')
end
prolong(true)
return reply('ok', now, redis.call('PEXPIRETIME', session), tonumber(field('deadline')), tonumber(field('lifetime')))
