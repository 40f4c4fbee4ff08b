-- A connection leaves: its participant is removed at once, unless it has other connections.
return change(function()
  void_recovery(call.recovery)
  drop_connection(call.connection)
  if redis.call('HEXISTS', connections, 'n:' .. caller) == 1 then
    return {'ok', version()}
  end
  disconnect(caller)
  remove_participant(caller)
  return {'ok', commit(true)}
end)
