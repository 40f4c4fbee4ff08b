local order = redis.call('HINCRBY', session, 'order', 1)
redis.call('HSET', session, 'p:' .. ARGV[2], order .. '|' .. now .. '|Guest ' .. order)
return commit()
