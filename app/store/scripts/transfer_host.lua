-- Hands the host's role over; the host token that was valid until now is void.
return change(function()
  if not field('p:' .. call.target) then
    return {'participant-not-found'}
  end
  if field('host') == call.target then
    return {'ok', version()}
  end
  put('host', call.target)
  redis.call('HINCRBY', session, 'generation', 1)
  redis.call('HDEL', session, 'tokenholder')
  return {'ok', commit(true)}
end)
