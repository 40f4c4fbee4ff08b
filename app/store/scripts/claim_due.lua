-- Claims sessions whose sweep is due.
-- KEYS[1]: js:due. ARGV: the maximum number, and the milliseconds for which others cannot claim them.
-- Replies: the score that identifies the claim, the claimed codes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claim = now + ARGV[2]
local codes = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, code in ipairs(codes) do
  redis.call('ZADD', KEYS[1], claim, code)
end
return {claim, codes}
