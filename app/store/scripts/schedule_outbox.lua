-- Has the outbox of a session looked at.
-- KEYS[1]: js:outboxes. ARGV: code, when, "expected" if an event is only about to be written.
-- One that is claimed (its score has a fraction) stays so, but its score changes: whoever has claimed it looks again.
local due, known = tonumber(ARGV[2]), tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
if known and known % 1 > 0 then
  due = known - 1
elseif known then
  due = ARGV[3] and math.max(due, known) or math.min(due, known)
end
redis.call('ZADD', KEYS[1], due, ARGV[1])
