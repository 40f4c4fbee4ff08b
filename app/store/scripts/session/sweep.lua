-- Removes the participants whose grace time is over, and starts it for those found without a connection.
-- Replies: ok, number removed, when to look again (0: nobody is disconnected, and no decision is due).
if not field('instance') then
  return reply('session-not-found')
end
if is_decision_due() then
  return reply('decision-due')
end
local over, away, next_due, changed = {}, {}, 0, false
local fields = all_of(session)
for index = 1, #fields, 2 do
  if fields[index]:sub(1, 2) == 'd:' then
    local participant, due = fields[index]:sub(3), tonumber(fields[index + 1])
    away[participant] = true
    if due <= now then
      over[#over + 1] = {participant, due}
    elseif next_due == 0 or due < next_due then
      next_due = due
    end
  end
end
for index = 1, #fields, 2 do
  local participant = fields[index]:sub(1, 2) == 'p:' and fields[index]:sub(3)
  if participant and not away[participant] and not get(connections, 'n:' .. participant) then
    put(session, 'd:' .. participant, now + call.grace)
    next_due = next_due == 0 and now + call.grace or math.min(next_due, now + call.grace)
    changed = true
  end
end
table.sort(over, function(one, other)
  return one[2] < other[2] or (one[2] == other[2] and one[1] < other[1])
end)
for _, gone in ipairs(over) do
  remove_participant(gone[1], 'away')
  changed = true
end
-- Replicas of an earlier release do not count those who watch.
if count_observers() then
  changed = true
end
local dropped, unfinished = limit_absent()
if changed or dropped then
  commit(false)
end
local function look_again(at)
  next_due = next_due == 0 and at or math.min(next_due, at)
end
if unfinished then
  look_again(now)
end
if decide_at() then
  look_again(decide_at())
elseif field('when') and not field('decision') then
  -- A replica may die between the last rating and scheduling the decision.
  look_again(now + 60000)
end
return reply('ok', #over, next_due)
