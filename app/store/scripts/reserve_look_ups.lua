-- Counts look-ups of an address that are about to be made, as many as the limit allows beside its misses and the
-- look-ups in progress.
-- KEYS[1]: js:misses:A; KEYS[2]: js:looks:{js:misses:A}. ARGV: the limit ("-" for none), milliseconds after which a
-- look-up in progress is no longer counted, an id for each look-up.
-- Replies: the number counted, misses, the number that was in progress before, milliseconds left of the window.
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
