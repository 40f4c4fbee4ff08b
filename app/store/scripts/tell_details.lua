#!lua flags=allow-oom
-- Stores the details of a replica. It works in a full Redis, too: it overwrites the same few bytes.
-- KEYS[1]: js:replica:R. ARGV: the details, milliseconds of the lease.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
