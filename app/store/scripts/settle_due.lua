-- Ends the claim of a session.
-- KEYS[1]: js:due. ARGV: code, the score of the claim, the time of the next sweep (0: none).
-- A session that was scheduled since the claim keeps its new time.
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0) ~= tonumber(ARGV[2]) then
  return 0
end
if ARGV[3] == '0' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
