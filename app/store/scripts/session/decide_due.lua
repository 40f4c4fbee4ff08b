-- Decides, if the time for that has come. With nothing to decide it does not come any more. Replies: ok.
if is_decision_due() then
  if not decide() then
    remove(session, 'timer', 'ready')
  end
  commit(true)
end
return reply('ok')
