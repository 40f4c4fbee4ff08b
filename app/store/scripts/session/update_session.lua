-- Changes the settings of the session: title ("" removes it), capacity, locked, lifetime.
return change(function()
  if call.title == '' then
    remove(session, 'title')
  elseif call.title then
    put(session, 'title', call.title)
  end
  if call.capacity then
    put(session, 'capacity', call.capacity)
  end
  if call.locked then
    put(session, 'locked', call.locked)
  end
  if call.lifetime then
    put(session, 'lifetime', call.lifetime)
    remove(session, 'unjoined')
  end
  return {'ok', commit(true)}
end)
