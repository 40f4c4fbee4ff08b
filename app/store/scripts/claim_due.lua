-- KEYS[1]: js:due. ARGV: how many, milliseconds for which nobody else may claim them.
-- Replies: the score that marks the claim, the codes claimed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claim = now + ARGV[2]
local codes = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, code in ipairs(codes) do
  redis.call('ZADD', KEYS[1], claim, code)
end
return {claim, codes}
