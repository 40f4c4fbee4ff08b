-- Replies by idempotency key, each kept for ten minutes. In the hash `replies`, besides "<caller> <key>":
local REPLY_MEMORY, MOST_REPLIES = 600000, 200
local MOST_REPLY_BYTES, MOST_BYTES_OF_ALL_REPLIES = 65536, 2097152
-- Redis's memory for a reply, besides the text of the reply and of its name.
local REPLY_OVERHEAD = 200

local function kept(whose)
  local first, after, bytes = (get(replies, '#' .. whose) or '1 1 0'):match('^(%d+) (%d+) (%d+)$')
  return tonumber(first), tonumber(after), tonumber(bytes)
end

local function keep(whose, first, after, bytes)
  if first == after then
    remove(replies, '#' .. whose)
    redis.call('ZREM', REPLIERS, whose)
  else
    put(replies, '#' .. whose, string.format('%d %d %d', first, after, bytes))
  end
end

local function fits(size)
  return tonumber(get(replies, 'bytes') or 0) + size <= MOST_BYTES_OF_ALL_REPLIES
end

-- Deletes a caller's oldest reply, with `expired` only an expired one. Returns whether one was deleted.
local function forget_reply(whose, expired)
  local first, after, bytes = kept(whose)
  if first == after then
    return false
  end
  local number = '#' .. whose .. ' ' .. first
  local at, size, key = get(replies, number):match('^(%d+) (%d+) (.*)$')
  if expired and tonumber(at) > now - REPLY_MEMORY then
    return false
  end
  remove(replies, number, whose .. ' ' .. key)
  keep(whose, first + 1, after, bytes - size)
  add(replies, 'bytes', -size)
  return true
end

-- Deletes a few expired replies of any callers.
local function tidy_replies()
  for _ = 1, 3 do
    local whose = redis.call('ZRANGE', REPLIERS, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1)[1]
    if not whose then
      return
    end
    if not forget_reply(whose, true) then
      local first, after = kept(whose)
      if first == after then
        redis.call('ZREM', REPLIERS, whose)
      else
        local at = get(replies, '#' .. whose .. ' ' .. first):match('^%d+')
        enlist(REPLIERS, at + REPLY_MEMORY, whose)
      end
    end
  end
end

-- Whether replies of one caller may be evicted for another, who has so many bytes: those of participants who have left,
-- and of callers with more bytes; never the host's.
local function gives_way(whose, bytes)
  if whose == field('host') or whose == field('tokenholder') or whose:match('^h%d+$') then
    return false
  end
  return not field('p:' .. whose) or select(3, kept(whose)) > bytes
end

-- Evicts replies of other callers to make room for so many bytes. It looks at a few callers: those with the oldest
-- replies, and some at random.
local function take_from_others(whose, size, bytes)
  local number = redis.call('ZCOUNT', REPLIERS, '-inf', '+inf')
  for turn = 0, 31 do
    if number == 0 or fits(size) then
      return
    end
    local rank = turn < 16 and turn or (now + turn) % number
    local other = redis.call('ZRANGE', REPLIERS, rank, rank)[1]
    while other and other ~= whose and not fits(size) and gives_way(other, bytes) and forget_reply(other) do
    end
  end
end

-- Makes room for a reply of so many bytes; returns whether there is room.
local function make_room(whose, size)
  local first, after, bytes = kept(whose)
  while first < after and (after - first >= MOST_REPLIES or bytes + size > MOST_REPLY_BYTES) do
    forget_reply(whose)
    first, after, bytes = kept(whose)
  end
  take_from_others(whose, size, bytes)
  while not fits(size) and forget_reply(whose) do
  end
  return size <= MOST_REPLY_BYTES and fits(size)
end

local function recall_reply(whose, key)
  while forget_reply(whose, true) do
  end
  return get(replies, whose .. ' ' .. key)
end

-- When a reply that is kept was given.
local function replied_at(whose, key)
  local first, after = kept(whose)
  for number = after - 1, first, -1 do
    local at, name = (get(replies, '#' .. whose .. ' ' .. number) or ''):match('^(%d+) %d+ (.*)$')
    if name == key then
      return tonumber(at)
    end
  end
end

local function remember_reply(whose, key, text)
  tidy_replies()
  local size = #whose + 1 + #key + #text + REPLY_OVERHEAD
  if not make_room(whose, size) then
    return
  end
  local first, after, bytes = kept(whose)
  put(replies, whose .. ' ' .. key, text)
  put(replies, '#' .. whose .. ' ' .. after, string.format('%.0f %d %s', now, size, key))
  keep(whose, first, after + 1, bytes + size)
  add(replies, 'bytes', size)
  if first == after then
    enlist(REPLIERS, now + REPLY_MEMORY, whose)
  end
end

