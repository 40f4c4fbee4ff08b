-- Renames the caller. call.target, if given, has to be the caller's id.
return change(function()
  local target = call.target or caller
  if not target then
    return {'not-joined'}
  end
  local entry = field('p:' .. target)
  if not entry then
    return {'participant-not-found'}
  end
  if target ~= caller then
    return {'forbidden'}
  end
  local order, joined, name = entry:match('^(%d+)|(%d+)|(.*)$')
  if name == call.name then
    return {'ok', version()}
  end
  put(session, 'p:' .. target, order .. '|' .. joined .. '|' .. call.name)
  return {'ok', commit(true)}
end)
