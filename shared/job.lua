-- What every script that changes jobs begins with: key names, the time, and how a job ends.
-- It is put before those scripts (shared/scripts.py); ARGV[1] is the terms as JSON:
--   prefix, result_ttl, dead_letter_ttl (s), dead_letters (most), recent (most), cache_ttl (s), cache_bytes
-- Lists, types and lifetimes of all keys: shared/redis_keys.py.
local terms = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local moment = now + clock[2] % 1000 / 1000  -- orders what happens within a millisecond

local STREAM_TTL = 60 -- seconds in which a slow reader may read the last tokens; then it reads the result

local function key(name) return terms.prefix .. name end
local function job_key(id) return key('job:' .. id) end
local function split_part(part) return string.match(part, '^(.*)%.(%d+)$') end
local function is_open(state) return state == 'queued' or state == 'running' end

-- Only a failed job that is no row of a batch keeps its request, so that it can be retried: a dead letter. There are only so many.
local function keep_dead_letter(id)
  redis.call('ZREMRANGEBYSCORE', key('jobs:failed'), '-inf', now - terms.dead_letter_ttl * 1000)
  redis.call('ZADD', key('jobs:failed'), moment, id)
  local spare = redis.call('ZCARD', key('jobs:failed')) - terms.dead_letters
  if spare <= 0 then return end
  for _, old in ipairs(redis.call('ZPOPMIN', key('jobs:failed'), spare)) do
    redis.call('EXPIRE', job_key(old), terms.result_ttl) -- a score is no id: this does nothing
  end
end

-- A text that needs no worker any more. Its message may wait: it was cancelled, or put back just before
-- the worker that was given up for dead finished it.
local function close_part(part, message)
  redis.call('ZREM', key('jobs:open'), part)
  if redis.call('LREM', key('queue'), 1, message) == 0 then redis.call('LREM', key('queue:bulk'), 1, message) end
end

-- The record loses what only an open job needs; whoever waits is woken. Its texts that still wait
-- leave the queue and free their places.
local function end_job(id, state, result)
  local job, done = job_key(id), key('done:' .. id)
  local parts, flight, row = unpack(redis.call('HMGET', job, 'parts', 'flight', 'row'))
  local letter = state == 'failed' and not row -- why a row failed stands in its batch's error file
  local spent = {'remaining', 'failures', 'waiters', 'kept', 'flight', 'store', 'deadline'}
  for i = 0, parts - 1 do
    local message = redis.call('HGET', job, 'message:' .. i)
    if message then close_part(id .. '.' .. i, message) end
    for _, name in ipairs({'part:', 'attempts:', 'message:'}) do spent[#spent + 1] = name .. i end
  end
  if not letter then spent[#spent + 1] = 'request' end
  redis.call('HDEL', job, unpack(spent))
  redis.call('HSET', job, 'state', state, 'finished', now, 'result', result or '[]')
  redis.call('EXPIRE', job, letter and terms.dead_letter_ttl or terms.result_ttl)
  if letter then keep_dead_letter(id) end
  if flight and redis.call('GET', key('flight:' .. flight)) == id then redis.call('DEL', key('flight:' .. flight)) end
  redis.call('HINCRBY', key('stats'), state, 1)
  if redis.call('HGET', job, 'streams') == '1' then
    redis.call('XADD', key('tokens:' .. id), '*', 'end', state)
    redis.call('EXPIRE', key('tokens:' .. id), STREAM_TTL)
  end
  redis.call('LPUSH', done, 'ended')
  redis.call('EXPIRE', done, terms.result_ttl)
end
