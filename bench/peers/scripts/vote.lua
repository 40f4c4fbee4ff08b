-- ARGV: ..., the movie, the rating
local movie = redis.call('HGET', session, 'm:' .. ARGV[3])
if not movie then return false end
local order = movie:match('^(%d+)|')
local cast = redis.call('HGET', votes, ARGV[2])
cast = cast and cjson.decode(cast) or {}
local count, vetoes, points = redis.call('HGET', session, 't:' .. order):match('^(%d+) (%d+) (%d+)$')
count, vetoes, points = tonumber(count), tonumber(vetoes), tonumber(points)
local before, rating = cast[order] or 0, tonumber(ARGV[4])
if before == 1 then
  vetoes = vetoes - 1
elseif before > 1 then
  count = count - 1
  points = points - (before - 1) * 25
end
if rating == 1 then
  vetoes = vetoes + 1
else
  count = count + 1
  points = points + (rating - 1) * 25
end
redis.call('HSET', session, 't:' .. order, count .. ' ' .. vetoes .. ' ' .. points)
cast[order] = rating
redis.call('HSET', votes, ARGV[2], cjson.encode(cast))
return commit()
