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
  if reason == 'banned' and tonumber(field('bans') or 0) >= 1000 then
    return {'limit-reached', 'As many people are banned as a session can hold'}
  end
  local host, holder = field('host'), field('tokenholder')
  if call.operator then
    if target == (holder or host) then
      -- Or it would be the host again by the token.
      void_token()
    end
  elseif reason ~= 'left' and (target == host or target == holder) then
    -- Whoever shows the host token leaves by the request by which the others are kicked.
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
