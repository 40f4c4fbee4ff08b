-- Removes a participant with all its connections: the host kicks or bans, or one removes oneself.
return change(function()
  local target = call.target
  if grant == 'own' and target ~= caller then
    return {'forbidden'}
  end
  if not field('p:' .. target) then
    return {'participant-not-found'}
  end
  local reason = call.reason
  if reason ~= 'left' and target == field('host') then
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
