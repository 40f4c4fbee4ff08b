-- Rates a movie, changes the rating, or withdraws it (rating 0). One effective rating per participant and movie.
return change(function()
  if not caller then
    return {'not-joined'}
  end
  if field('decision') then
    return {'session-decided'}
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
  local held = 0
  for _ in pairs(cast) do
    held = held + 1
  end
  local rated = (field('v:' .. caller) or 0) + (call.rating > 0 and 1 or 0) - (before > 0 and 1 or 0)
  if held ~= rated then
    -- There are ratings of movies that are gone, or replicas of an earlier release have not counted.
    for other in pairs(cast) do
      if not field('t:' .. other) then
        cast[other] = nil
        held = held - 1
      end
    end
  end
  note_rated(caller, held)
  local others = tonumber(get(connections, 'n:' .. caller) or 0) - (call.connection and 1 or 0)
  if others > 0 then
    rerated = {participant = caller, connection = call.connection}
  end
  if redis.call('HSET', VOTES, caller, cjson.encode(cast)) == 1 then
    made[VOTES] = true
  end
  return {'ok', commit(true)}
end)
