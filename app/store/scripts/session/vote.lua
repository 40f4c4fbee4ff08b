-- Rates a movie, changes the rating, or withdraws it (rating 0). One effective rating per participant and movie.
return change(function()
  if not caller then
    return {'not-joined'}
  end
  local entry = field('m:' .. call.movie)
  if not entry then
    return {'movie-not-found'}
  end
  local order = entry:match('^(%d+)|')
  local cast = redis.call('HGET', VOTES, caller)
  cast = cast and cjson.decode(cast) or {}
  local before = cast[order] or 0
  if before == call.rating then
    return {'ok', version()}
  end
  if before > 0 then
    add_to_tally(order, before, -1)
  end
  if call.rating > 0 then
    add_to_tally(order, call.rating, 1)
    cast[order] = call.rating
  else
    cast[order] = nil
  end
  -- Ratings of movies that are gone are dropped now and then, so that a list that changes for hours stays small.
  local held = 0
  for _ in pairs(cast) do
    held = held + 1
  end
  if held > call.max_movies then
    for other in pairs(cast) do
      if not field('t:' .. other) then
        cast[other] = nil
      end
    end
  end
  if redis.call('HSET', VOTES, caller, cjson.encode(cast)) == 1 then
    made[VOTES] = true
  end
  return {'ok', commit(true)}
end)
