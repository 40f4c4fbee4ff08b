-- Removes the participant of a connection at once, unless it has other connections.
local function leave(participant)
  void_recovery(call.recovery)
  drop_connection(call.connection)
  if get(connections, 'n:' .. participant) then
    return version()
  end
  disconnect(participant)
  remove_participant(participant, 'left')
  return commit(true)
end

return change(function()
  return {'ok', leave(caller)}
end, function()
  -- The call was repeated by another connection of the same participant, which leaves, too.
  if get(connections, 'c:' .. call.connection) == call.participant then
    leave(call.participant)
  end
end)
