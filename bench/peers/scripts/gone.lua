if redis.call('HEXISTS', session, 'p:' .. ARGV[2]) == 0 then return false end
redis.call('HSET', session, 'd:' .. ARGV[2], now + 60000)
return commit()
