-- Removes the participants whose grace time is over.
-- Replies: ok, number removed, when to look again (0: nobody is away).
if not field('instance') then
  return reply('session-not-found')
end
local over, next_due = {}, 0
local fields = redis.call('HGETALL', session)
for index = 1, #fields, 2 do
  if fields[index]:sub(1, 2) == 'd:' then
    local due = tonumber(fields[index + 1])
    if due <= now then
      over[#over + 1] = fields[index]:sub(3)
    elseif next_due == 0 or due < next_due then
      next_due = due
    end
  end
end
for _, participant in ipairs(over) do
  -- Whoever comes back later is a newcomer, but keeps the name.
  put('l:' .. participant, field('p:' .. participant):match('^%d+|%d+|(.*)$'))
  remove_participant(participant)
end
if #over > 0 then
  commit(false)
end
return reply('ok', #over, next_due)
