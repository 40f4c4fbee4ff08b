-- Decides for the first of the ranking, or for the movie that the host names.
-- Replies: ok, time, version, the decision.
return change(function()
  local decision = field('decision')
  if decision then
    return {'session-decided', '', decision}
  end
  if call.movie and not field('m:' .. call.movie) then
    return {'movie-not-found'}
  end
  if not decide(call.movie) then
    return {'nothing-to-decide'}
  end
  return {'ok', commit(true), field('decision')}
end)
