-- Adds movies, all or none. Movies that are on the list already stay unchanged.
-- Replies: ok, time, version, ids added, ids that were present.
return change(function()
  if field('decision') then
    return {'session-decided'}
  end
  local added, present, bytes, seen = {}, {}, 0, {}
  for _, movie in ipairs(call.movies) do
    if seen[movie.id] or field('m:' .. movie.id) then
      present[#present + 1] = movie.id
    else
      added[#added + 1] = movie
      bytes = bytes + #movie.details
    end
    seen[movie.id] = true
  end
  if #added == 0 then
    return {'ok', version(), {}, present}
  end
  if tonumber(field('films')) + #added > call.max_movies then
    return {'limit-reached', 'The session has as many movies as it can hold'}
  end
  if tonumber(field('bytes')) + bytes > call.max_bytes then
    return {'limit-reached', 'The movies of the session are too large together'}
  end
  local ids = {}
  for _, movie in ipairs(added) do
    local order = add(session, 'order', 1)
    put(session, 'm:' .. movie.id, string.format('%d|%d|%s|%s', order, now, caller or '', movie.details))
    put(session, 't:' .. order, '0 0 0')
    ids[#ids + 1] = movie.id
  end
  add(session, 'films', #added)
  put(session, 'done', 0)
  add(session, 'bytes', bytes)
  return {'ok', commit(true), ids, present}
end, function(text)
  -- The same movies were requested again.
  local at, marks = text:match('^~(%d+) ([01]+)$')
  if not at then
    return nil
  end
  local added, present = {}, {}
  for index, movie in ipairs(call.movies) do
    local list = marks:sub(index, index) == '1' and added or present
    list[#list + 1] = movie.id
  end
  return {'ok', tonumber(at), added, present}
end, function(result)
  local added, marks = {}, {}
  for _, id in ipairs(result[3]) do
    added[id] = true
  end
  for index, movie in ipairs(call.movies) do
    marks[index] = added[movie.id] and '1' or '0'
  end
  return '~' .. result[2] .. ' ' .. table.concat(marks)
end)
