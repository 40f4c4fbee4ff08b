-- Ends the claim of an outbox.
-- KEYS[1]: js:outboxes. ARGV: code, the score of the claim, the time of the next attempt (0: the outbox is empty), the
-- time to look at an empty one for which an event was expected since the claim.
local known, claim = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])), tonumber(ARGV[2])
if not known or known > claim then
  -- The claim has run out, and another replica has it.
  return
end
if ARGV[3] == '0' and known == claim then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3] == '0' and ARGV[4] or ARGV[3], ARGV[1])
end
