-- Removes a participant with all its connections: the host kicks or bans, or one removes oneself.
return change(function()
  local target = call.target
  if grant == 'own' and target ~= caller then
    return {'forbidden'}
  end
  if not field('p:' .. target) then
    return {'participant-not-found'}
  end
  if call.reason ~= 'left' and target == field('host') then
    return {'forbidden', 'The host cannot be kicked'}
  end
  remove_participant(target, call.reason)
  return {'ok', commit(true)}
end)
