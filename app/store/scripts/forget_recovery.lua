-- KEYS[1]: js:recovery:P. ARGV: a code. Forgets the recovery id P unless it continues somebody in another session by now.
local entry = redis.call('GET', KEYS[1])
if entry and entry:match('^%S+') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
