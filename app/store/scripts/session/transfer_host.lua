-- Makes another participant the host. If the holder of the host token does so, the token becomes void; if a promoted
-- host does, it stays valid.
return change(function()
  if not field('p:' .. call.target) then
    return {'participant-not-found'}
  end
  if field('host') == call.target then
    return {'ok', version()}
  end
  put(session, 'host', call.target)
  if holds_token() then
    void_token()
  end
  return {'ok', commit(true)}
end)
