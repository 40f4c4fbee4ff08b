-- Hands the host's role over. The host token is void when its holder does, not when somebody does who was promoted.
return change(function()
  if not field('p:' .. call.target) then
    return {'participant-not-found'}
  end
  if field('host') == call.target then
    return {'ok', version()}
  end
  put('host', call.target)
  if holds_token() then
    void_token()
  end
  return {'ok', commit(true)}
end)
