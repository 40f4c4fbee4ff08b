-- Removes a movie with its ratings. Allowed for the participant who added it and for the host.

-- One movie less is listed: those who have rated it have rated one less, others may have rated all by that.
local function recount(order)
  local people, rated, fields = {}, {}, all_of(session)
  for index = 1, #fields, 2 do
    local kind, participant = fields[index]:sub(1, 2), fields[index]:sub(3)
    if kind == 'p:' then
      people[#people + 1] = participant
    elseif kind == 'v:' then
      rated[participant] = tonumber(fields[index + 1])
    end
  end
  local movies, done, mark = tonumber(field('films')), 0, '"' .. order .. '":'
  for first = 1, #people, 500 do
    local some = {unpack(people, first, math.min(#people, first + 499))}
    for index, cast in ipairs(redis.call('HMGET', VOTES, unpack(some))) do
      local number = rated[some[index]] or 0
      if number > 0 and cast and cast:find(mark, 1, true) then
        number = number - 1
        if number > 0 then
          put(session, 'v:' .. some[index], number)
        else
          remove(session, 'v:' .. some[index])
        end
      end
      done = done + (number == movies and 1 or 0)
    end
  end
  put(session, 'done', done)
end

return change(function()
  if field('decision') then
    return {'session-decided'}
  end
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
  recount(order)
  return {'ok', commit(true)}
end)
