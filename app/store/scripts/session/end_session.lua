-- Ends the session. Only the reservation of its code stays, with the reply for a repeated call.
-- Replies: ok, time, version.
local function finish(key)
  local instance, ended = field('instance'), {'ok', version() + 1, now}
  for _, name in ipairs(names_of(connections)) do
    if name:sub(1, 2) == 'r:' then
      void_recovery(name:sub(3))
    end
  end
  local told = key and (' ' .. key .. ' ' .. call.fingerprint .. ' ' .. cjson.encode(ended)) or ''
  redis.call('SET', RESERVATION, 'ended ' .. instance .. told, 'PX', math.max(1, tonumber(field('rest'))))
  redis.call('DEL', SESSION, VOTES, CONNECTIONS, REPLIES, ABSENT, FORMER, REPLIERS)
  tell_receiver('session.ended', instance, '{"reason":"ended"}')
  for _, hash in ipairs(opened) do
    hash.read, hash.changed = {}, {}
  end
  news[#news + 1] = 'ended'
  return {ended[1], ended[2]}
end

return change(finish)
