-- Replaces the host token. Replies: ok, time, version, generation of the new one.
return change(function()
  if not holds_token() then
    return {'forbidden', 'Only who holds the host token can renew it'}
  end
  local generation = add(session, 'generation', 1)
  return {'ok', commit(true), generation}
end)
