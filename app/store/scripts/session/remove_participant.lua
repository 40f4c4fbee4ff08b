-- Removes a participant with all its connections: kicked or banned by the host or an operator, or at its own request.
return change(function()
  local target = call.target
  if grant == 'own' and target ~= caller then
    return {'forbidden'}
  end
  if not field('p:' .. target) then
    return {'participant-not-found'}
  end
  local reason = call.reason
  if reason == 'banned' and tonumber(field('bans') or 0) >= 1000 then
    return {'limit-reached', 'As many people are banned as a session can hold'}
  end
  local host, holder = field('host'), field('tokenholder')
  if call.operator then
    if target == (holder or host) then
      -- Otherwise it would become host again by the token.
      void_token()
    end
  elseif reason ~= 'left' and (target == host or target == holder) then
    -- The holder of the host token leaves with the request that kicks others.
    if not call.generation or target ~= caller or reason ~= 'kicked' then
      return {'forbidden', target == host and 'The host cannot be kicked' or 'Who created the session cannot be kicked'}
    end
    reason = 'left'
  end
  disconnect(target)
  remove_participant(target, reason)
  tell(target, reason)
  return {'ok', commit(true)}
end)
