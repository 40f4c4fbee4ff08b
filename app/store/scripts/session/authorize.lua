-- Whether somebody may do something at all, for those whose request is wrong besides. Replies: ok.
return change(function()
  return {'ok'}
end)
