-- KEYS[1]: js:recovery:P. ARGV: a code, milliseconds. The recovery id P is void and known for so long only, unless it
-- continues somebody in another session by now.
local entry = redis.call('GET', KEYS[1])
if entry and entry:match('^%S+') == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
