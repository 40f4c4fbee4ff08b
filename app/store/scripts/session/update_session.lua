-- Changes the settings of the session: title ("" removes it), capacity, locked, lifetime.
return change(function()
  if call.title == '' then
    redis.call('HDEL', session, 'title')
  elseif call.title then
    put('title', call.title)
  end
  if call.capacity then
    put('capacity', call.capacity)
  end
  if call.locked then
    put('locked', call.locked)
  end
  if call.lifetime then
    put('lifetime', call.lifetime)
    redis.call('HDEL', session, 'unjoined')
  end
  return {'ok', commit(true)}
end)
