-- Takes the decision back: the same people go on; call.clear: without the ratings, or without the movies, too.
return change(function()
  if not field('decision') then
    return {'not-decided'}
  end
  remove(session, 'decision', 'when', 'timer', 'ready')
  if call.clear then
    local fields = all_of(session)
    for index = 1, #fields, 2 do
      local kind = fields[index]:sub(1, 2)
      if kind == 'v:' or (call.clear == 'movies' and (kind == 'm:' or kind == 't:')) then
        remove(session, fields[index])
      elseif kind == 't:' then
        put(session, fields[index], '0 0 0')
      end
    end
    redis.call('DEL', VOTES, ABSENT)
    put(session, 'done', 0)
    rerated = {}
  end
  if call.clear == 'movies' then
    put(session, 'films', 0)
    put(session, 'bytes', 0)
  end
  return {'ok', commit(true)}
end)
