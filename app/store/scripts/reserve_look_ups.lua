-- Counts look-ups of an address that are about to be made, as many as fit beside its misses and those under way.
-- KEYS[1]: js:misses:A; KEYS[2]: js:looks:{js:misses:A}. ARGV: what fits ("-" for everything), milliseconds after which
-- a look-up counts as over in any case, then an id for each.
-- Replies: how many are counted, misses, how many were under way before, milliseconds left of the window.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lapse = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local misses = tonumber(redis.call('GET', KEYS[1]) or 0)
local under_way = redis.call('ZCOUNT', KEYS[2], '-inf', '+inf')
local counted = #ARGV - 2
if ARGV[1] ~= '-' then
  counted = math.max(0, math.min(counted, ARGV[1] - misses - under_way))
end
for index = 1, counted do
  redis.call('ZADD', KEYS[2], now + lapse, ARGV[2 + index])
end
if counted > 0 then
  redis.call('PEXPIRE', KEYS[2], lapse)
end
return {counted, misses, under_way, math.max(0, redis.call('PTTL', KEYS[1]))}
