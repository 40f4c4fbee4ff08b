-- Lists live sessions in the order of their expiry.
-- KEYS[1]: js:sessions. ARGV: the maximum number; then nothing for the first page, or the expiry and code of the last
-- session of the previous page.
-- If that session has ended or was extended, the page begins with all that expire in the same millisecond: none is
-- skipped, some may be repeated.
-- Replies: code, expiry, code, expiry, ...
local last = tonumber(ARGV[1]) - 1
local time = redis.call('TIME')
local from = ARGV[2] or string.format('%d%03d', time[1], math.floor(time[2] / 1000))
local listed = ARGV[3] and redis.call('ZSCORE', KEYS[1], ARGV[3])
if listed and tonumber(listed) == tonumber(from) then
  local first = redis.call('ZRANK', KEYS[1], ARGV[3]) + 1
  return redis.call('ZRANGE', KEYS[1], first, first + last, 'WITHSCORES')
end
return redis.call('ZRANGE', KEYS[1], from, '+inf', 'BYSCORE', 'LIMIT', 0, last + 1, 'WITHSCORES')
