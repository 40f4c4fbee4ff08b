-- Lets the entry of the void recovery id P expire soon, unless it belongs to another session by now.
-- KEYS[1]: js:recovery:P. ARGV: the session's code, milliseconds.
local entry = redis.call('GET', KEYS[1])
if entry and entry:match('^%S+') == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
