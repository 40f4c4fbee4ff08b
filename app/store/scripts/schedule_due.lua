-- Schedules a sweep.
-- KEYS[1]: js:due. ARGV: code, the latest time of the sweep.
-- The score changes in any case, so that a replica that has claimed the session, and may have swept it already,
-- notices.
local due, known = tonumber(ARGV[2]), redis.call('ZSCORE', KEYS[1], ARGV[1])
if known then
  due = math.min(due, tonumber(known) - 1)
end
redis.call('ZADD', KEYS[1], due, ARGV[1])
