-- Takes an event off the list of those that wait to be sent.
-- KEYS[1]: js:events, see list_event.lua. ARGV: the event, its bytes.
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[1], redis.call('ZSCORE', KEYS[1], 'bytes') + ARGV[2], 'bytes')
end
