-- Lists an event that waits to be sent, and takes the oldest off the list while it is beyond its bounds.
-- KEYS[1]: js:events: "<code> <id> <bytes>" -> time; "bytes" -> the sum of all bytes, negative, so that it comes first.
-- ARGV: the event, its bytes, its time, the maximum of events and of bytes.
-- Replies: the events taken off.
local key, dropped = KEYS[1], {}
local bytes = ARGV[2] - (redis.call('ZSCORE', key, 'bytes') or 0)
redis.call('ZADD', key, -bytes, 'bytes', ARGV[3], ARGV[1])
local number = redis.call('ZCOUNT', key, 1, '+inf')
while number > tonumber(ARGV[4]) or (bytes > tonumber(ARGV[5]) and number > 0) do
  local oldest = redis.call('ZRANGE', key, 1, 1)[1]
  redis.call('ZREM', key, oldest)
  number, bytes = number - 1, bytes - oldest:match('%d+$')
  dropped[#dropped + 1] = oldest
end
redis.call('ZADD', key, -bytes, 'bytes')
return dropped
