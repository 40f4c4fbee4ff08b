-- Takes a place among the live sessions of an address, for a session that is about to be created.
-- KEYS[1]: js:made:A, a hash: seed of the instance -> "<bytes> <code> 0", or "<bytes> - <end>" while it is being
-- created.
-- ARGV: seed, bytes of movies, the maximum of sessions and of bytes, milliseconds for creating it, the maximum lifetime
-- of sessions in milliseconds.
-- Replies: 1; or 0 and seed, code, ... of the sessions that hold the places, some of which may have ended.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number, bytes, named = 1, tonumber(ARGV[2]), {}
local entries = redis.call('HGETALL', KEYS[1])
for index = 1, #entries, 2 do
  local size, code, ends = entries[index + 1]:match('^(%d+) (%S+) (%d+)$')
  if code == '-' and tonumber(ends) <= now then
    redis.call('HDEL', KEYS[1], entries[index])
  elseif entries[index] ~= ARGV[1] then
    number, bytes = number + 1, bytes + size
    if code ~= '-' then
      named[#named + 1] = entries[index]
      named[#named + 1] = code
    end
  end
end
if number > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) then
  return {0, unpack(named)}
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s - %.0f', ARGV[2], now + ARGV[5]))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {1}
