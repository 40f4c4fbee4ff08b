-- Removes a movie with its ratings. Allowed for the participant who added it and for the host.
return change(function()
  local entry = field('m:' .. call.movie)
  if not entry then
    return {'movie-not-found'}
  end
  local order, adder, details = entry:match('^(%d+)|%d+|([^|]*)|(.*)$')
  if grant == 'own' and adder ~= caller then
    return {'forbidden'}
  end
  free(session, 'm:' .. call.movie)
  remove(session, 't:' .. order)
  add(session, 'films', -1)
  add(session, 'bytes', -#details)
  return {'ok', commit(true)}
end)
