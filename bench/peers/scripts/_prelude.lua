-- KEYS: the session, its votes. ARGV: 1 for the version alone or 0 for the whole session, the participant, more.
local session, votes = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', session) == 0 then return false end

local function commit()
  redis.call('HINCRBY', session, 'version', 1)
  redis.call('PEXPIRE', session, 7200000)
  redis.call('PEXPIRE', votes, 7200000)
  if ARGV[1] == '1' then return {'version', redis.call('HGET', session, 'version')} end
  return redis.call('HGETALL', session)
end
