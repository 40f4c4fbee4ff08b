-- Changes the settings of the session: title, passcode ("" removes either), capacity, locked, lifetime, and how the
-- decision comes.
-- call.timer: milliseconds until the decision, 0 for none. call.delay: those from the last rating of all.
local function refusal()
  if field('decision') and ((call.timer or 0) > 0 or call.when == 'all-rated') then
    return {'session-decided'}
  end
  if call.timer and now + call.timer > tonumber(field('deadline')) then
    return {'limit-reached', 'The session ends before that'}
  end
  if call.reveal == 'live' and field('reveal') and has_ratings() then
    return {'limit-reached', 'Ratings were made that are hidden until the decision'}
  end
end

return change(function()
  local refused = refusal()
  if refused then
    return refused
  end
  if call.title == '' then
    remove(session, 'title')
  elseif call.title then
    put(session, 'title', call.title)
  end
  if call.passcode == '' then
    remove(session, 'passcode')
  elseif call.passcode then
    put(session, 'passcode', call.passcode)
  end
  if call.capacity then
    put(session, 'capacity', call.capacity)
  end
  if call.locked then
    put(session, 'locked', call.locked)
  end
  if call.lifetime then
    put(session, 'lifetime', call.lifetime)
    remove(session, 'unjoined')
  end
  if call.reveal == 'decided' then
    put(session, 'reveal', 'decided')
  elseif call.reveal then
    remove(session, 'reveal')
  end
  if call.when == 'all-rated' then
    put(session, 'when', call.when)
    put(session, 'delay', call.delay)
  elseif call.when then
    remove(session, 'when', 'ready')
  end
  if call.timer == 0 then
    remove(session, 'timer')
  elseif call.timer then
    put(session, 'timer', now + call.timer)
    prolong(call.timer + DECISION_SLACK)
  end
  return {'ok', commit(true)}
end)
