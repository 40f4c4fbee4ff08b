-- Ends look-ups of an address: they are no longer counted, except one that failed.
-- KEYS[1]: js:misses:A; KEYS[2]: js:looks:{js:misses:A}. ARGV: 1 for a miss, else 0; milliseconds of the window; ids.
if #ARGV > 2 then
  redis.call('ZREM', KEYS[2], unpack(ARGV, 3))
end
if ARGV[1] == '1' then
  redis.call('INCR', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2], 'NX')
end
