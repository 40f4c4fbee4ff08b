-- Creates a session under a free code. If the same instance exists already, the reply is that of its creation.
-- Replies: ok, the time of creation (0: the code is taken).
local taken_by = redis.call('GET', reservation)
if taken_by == call.instance and field('instance') == call.instance then
  return reply('ok', tonumber(field('created')))
end
if taken_by or redis.call('EXISTS', session) == 1 then
  return reply('ok', 0)
end
local deadline = now + call.max_lifetime
put('instance', call.instance, 'epoch', call.epoch, 'version', 1, 'created', now, 'deadline', deadline,
  'lifetime', call.lifetime, 'listed', 0, 'rest', call.rest, 'capacity', call.capacity, 'locked', 0,
  'leavers', call.leavers, 'generation', 1, 'order', 0, 'guests', 0, 'people', 0, 'peak', 0, 'films', 0, 'bytes', 0)
if call.title then
  put('title', call.title)
end
for _, movie in ipairs(call.movies) do
  local order = redis.call('HINCRBY', session, 'order', 1)
  put('m:' .. movie.id, string.format('%d|%d||%s', order, now, movie.details), 't:' .. order, '0 0 0')
  redis.call('HINCRBY', session, 'films', 1)
  redis.call('HINCRBY', session, 'bytes', #movie.details)
end
-- Keys that an older version did not delete when it ended an earlier session.
redis.call('DEL', absent, former, repliers)
redis.call('SET', reservation, call.instance)
if call.unjoined then
  put('unjoined', call.unjoined)
end
redis.call('PEXPIREAT', session, math.min(now + (call.unjoined or call.lifetime), deadline))
prolong(true)
return reply('ok', now)
