#!lua flags=allow-oom
-- Renews the lease of a replica. It works in a full Redis, too: without leases replicas would consider each other dead.
-- KEYS[1]: js:replicas. ARGV: replica, milliseconds of the lease.
-- Replies: now, 1 if the lease had expired or was unknown, the replicas whose lease has expired.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local lapsed = (not ends or tonumber(ends) < now) and 1 or 0
return {now, lapsed, redis.call('ZRANGE', KEYS[1], '-inf', '(' .. now, 'BYSCORE', 'LIMIT', 0, 16)}
