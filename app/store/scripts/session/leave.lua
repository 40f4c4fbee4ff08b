-- Removes the participant of a connection at once, unless it has other connections.
local function leave(participant)
  void_recovery(call.recovery)
  drop_connection(call.connection)
  if redis.call('HEXISTS', connections, 'n:' .. participant) == 1 then
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
  if redis.call('HGET', connections, 'c:' .. call.connection) == call.participant then
    leave(call.participant)
  end
end)
