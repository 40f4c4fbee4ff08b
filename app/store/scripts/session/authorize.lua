-- Checks the permission of a caller whose request is invalid. Replies: ok, time.
return change(function()
  return {'ok'}
end)
