#!lua flags=allow-oom
-- Also in a full Redis: without their leases replicas would take each other for dead.
-- KEYS[1]: js:replicas. ARGV: replica, milliseconds of the lease.
-- Replies: now, 1 when the lease had run out or was unknown, replicas whose lease has run out.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local lapsed = (not ends or tonumber(ends) < now) and 1 or 0
return {now, lapsed, redis.call('ZRANGE', KEYS[1], '-inf', '(' .. now, 'BYSCORE', 'LIMIT', 0, 16)}
