#!lua flags=allow-oom
-- Also in a full Redis: the same few bytes, written again and again.
-- KEYS[1]: js:replica:R. ARGV: what the others need to know of the replica, milliseconds of its lease.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
