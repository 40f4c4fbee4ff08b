-- Creates a session under a free code. If the same instance exists already, the reply is that of its creation.
-- Replies: ok, the time of creation (0: the code is taken).
local taken_by = redis.call('GET', RESERVATION)
if taken_by == call.instance and field('instance') == call.instance then
  return reply('ok', tonumber(field('created')))
end
if taken_by or field('instance') then
  return reply('ok', 0)
end
local deadline = now + call.max_lifetime
for name, value in pairs({
  instance = call.instance, epoch = call.epoch, version = 1, created = now, deadline = deadline,
  lifetime = call.lifetime, unjoined = call.unjoined, listed = 0, rest = call.rest, capacity = call.capacity,
  locked = 0, title = call.title, leavers = call.leavers, passcode = call.passcode,
  reveal = call.reveal == 'decided' and 'decided' or nil, when = call.when == 'all-rated' and 'all-rated' or nil,
  delay = call.delay, timer = call.timer and now + call.timer or nil, generation = 1, order = 0, guests = 0,
  people = 0, peak = 0, films = 0, bytes = 0,
}) do
  put(session, name, value)
end
for _, movie in ipairs(call.movies) do
  local order = add(session, 'order', 1)
  put(session, 'm:' .. movie.id, string.format('%d|%d||%s', order, now, movie.details))
  put(session, 't:' .. order, '0 0 0')
  add(session, 'films', 1)
  add(session, 'bytes', #movie.details)
end
redis.call('SET', RESERVATION, call.instance)
-- Keys that an older version did not delete when it ended an earlier session.
redis.call('DEL', ABSENT, FORMER, REPLIERS)
expires, moved.session = math.min(now + (call.unjoined or call.lifetime), deadline), true
tell_receiver('session.created', call.instance, cjson.encode({title = call.title or cjson.null}))
-- Nobody mirrors the session yet.
put(session, 'heard', expires)
prolong(call.timer and call.timer + DECISION_SLACK)
return reply('ok', now)
