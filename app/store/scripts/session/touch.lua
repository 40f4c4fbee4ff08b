-- Somebody is there: the session lives on, at least until that can be said again. No change, so no new version.
-- Replies: ok, now, time of expiry, deadline, lifetime.
if not field('instance') then
  return reply('session-not-found')
end
prolong(call.least)
return reply('ok', now, expiry(), tonumber(field('deadline')), tonumber(field('lifetime')))
