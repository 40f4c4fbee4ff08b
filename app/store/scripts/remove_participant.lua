-- Removes a participant with all its connections: the host or an operator kicks or bans, or one removes oneself.
return change(function()
  local target = call.target
  if grant == 'own' and target ~= caller then
    return {'forbidden'}
  end
  if not field('p:' .. target) then
    return {'participant-not-found'}
  end
  local reason = call.reason
  if target == field('host') and call.operator then
    -- Or it would be the host again by the token.
    redis.call('HINCRBY', session, 'generation', 1)
    redis.call('HDEL', session, 'tokenholder')
  elseif reason ~= 'left' and target == field('host') then
    -- Whoever shows the host token leaves by the request by which the others are kicked.
    if not call.generation or target ~= caller or reason ~= 'kicked' then
      return {'forbidden', 'The host cannot be kicked'}
    end
    reason = 'left'
  end
  disconnect(target)
  remove_participant(target, reason)
  return {'ok', commit(true)}
end)
