-- The ranking as it stands, and the decision for a movie.

-- Whole numbers beyond 2^53, as digits of base 10^7, the lowest first. The factors are below 10^8.
local function product(factors)
  local digits = {1}
  for _, factor in ipairs(factors) do
    local carry = 0
    for index = 1, #digits do
      local sum = digits[index] * factor + carry
      carry = math.floor(sum / 1e7)
      digits[index] = sum - carry * 1e7
    end
    while carry > 0 do
      local rest = math.floor(carry / 1e7)
      digits[#digits + 1] = carry - rest * 1e7
      carry = rest
    end
  end
  return digits
end

local function is_above(digits, others)
  if #digits ~= #others then
    return #digits > #others
  end
  for index = #digits, 1, -1 do
    if digits[index] ~= others[index] then
      return digits[index] > others[index]
    end
  end
  return false
end

-- As app/sessions/rating.py computes it: the number of half steps is exact also where rounding errors could change it.
local function compatibility(count, vetoes, points)
  if count == 0 then
    return 0
  end
  local all = count + vetoes
  local value = 2 * points / count * (count / all) ^ 3.5
  local steps = math.floor(value + 0.5)
  if math.abs(value - steps) > 1e-6 then
    steps = math.floor(value)
  elseif is_above(product({steps, steps, all, all, all, all, all, all, all}),
      product({4, points, points, count, count, count, count, count})) then
    steps = steps - 1
  end
  return math.floor((steps + 1) / 2)
end

local function ranked()
  local movies, fields = {}, all_of(session)
  for index = 1, #fields, 2 do
    if fields[index]:sub(1, 2) == 'm:' then
      local order = tonumber(fields[index + 1]:match('^(%d+)|'))
      local count, vetoes, points = field('t:' .. order):match('^(%d+) (%d+) (%d+)$')
      local movie = {id = fields[index]:sub(3), order = order, count = tonumber(count), vetoes = tonumber(vetoes),
        points = tonumber(points)}
      movie.compatibility = compatibility(movie.count, movie.vetoes, movie.points)
      movies[#movies + 1] = movie
    end
  end
  table.sort(movies, function(one, other)
    if one.compatibility ~= other.compatibility then
      return one.compatibility > other.compatibility
    elseif one.vetoes ~= other.vetoes then
      return one.vetoes < other.vetoes
    elseif one.count ~= other.count then
      return one.count > other.count
    end
    return one.order < other.order
  end)
  return movies
end

-- The first of a ranking that have ratings other than vetoes, several if they are equal.
local function leading(ranking)
  local best = {}
  for _, movie in ipairs(ranking) do
    local first = best[1] or movie
    if movie.count > 0 and movie.compatibility == first.compatibility and movie.vetoes == first.vetoes and
        movie.count == first.count then
      best[#best + 1] = movie
    end
  end
  return best
end

-- One of `number`, all equally likely by the 64 random bits of call.lot, two numbers of 32 bits, the high one first.
local function draw(number)
  local high, low = call.lot[1], call.lot[2]
  return 1 + math.floor((high * number + math.floor(low * number / 2 ^ 32)) / 2 ^ 32)
end

-- Decides for a movie, or without one for the first of the ranking; returns false where there is none to decide for.
local function decide(movie)
  local ranking = ranked()
  local decision = {movie = movie, by = 'host', at = now, epoch = field('epoch'), version = version() + 1,
    ranking = {}}
  if not movie then
    local best = leading(ranking)
    if #best == 0 then
      return false
    end
    decision.movie, decision.by = best[#best > 1 and draw(#best) or 1].id, #best > 1 and 'lot' or 'ranking'
    if #best > 1 then
      decision.tied = {}
      for index, each in ipairs(best) do
        decision.tied[index] = each.id
      end
    end
  end
  for index, each in ipairs(ranking) do
    decision.ranking[index] = {each.id, each.count, each.vetoes, each.points}
  end
  put(session, 'decision', cjson.encode(decision))
  tell_receiver('session.decided', field('instance'), field('decision'))
  remove(session, 'timer', 'ready')
  return true
end
