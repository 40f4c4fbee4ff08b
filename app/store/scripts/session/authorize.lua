-- Checks the permission of a caller whose request is invalid. Replies: ok.
return change(function()
  return {'ok'}
end)
