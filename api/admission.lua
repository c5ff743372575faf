-- Admit a job or refuse it: idempotency key, rate windows, work in flight, cached answers, the queue
-- bound, the job record and its messages in one atomic step. All checks come before all writes, so
-- that a refused request changes nothing (its refusal is counted in stats, nothing else).
--
-- ARGV 1 terms (shared/job.lua)
--      2 what is asked, as JSON: id, client, priority, texts (how many), messages and cache digests (one
--        for each text; no digests: not cached), record (field -> value), flight (fingerprint), waits
--        (somebody waits on the connection), expires_in (ms), keep (ms that the client's list and
--        its idempotency keys live), windows ({key, limit, ms, name}; a limit of 0 is no limit), max_waiting, max_bulk,
--        idempotency (key name, or nil), retry (run a failed job again)
-- -> {'admitted', id, texts before it} | {'cached', id} | {'joined', id} | {'repeated', id}
--    {'reused', id} the idempotency key belongs to other work | {'not_failed', state} nothing to retry
--    {<window name>, ms until it fits} | {'full', waiting} | {'full_bulk', waiting} | {'draining', 0}
local ask = cjson.decode(ARGV[2])
local stats, job = key('stats'), job_key(ask.id)
local flight = key('flight:' .. ask.flight)

local function refuse(reason, value)
  redis.call('HINCRBY', stats, 'rejected:' .. reason, 1)
  return {reason, value}
end

local function wait_for(window)
  local name, limit, length = unpack(window)
  if limit == 0 then return 0 end
  redis.call('ZREMRANGEBYSCORE', name, '-inf', now - length)
  local must_leave = redis.call('ZCARD', name) + ask.texts - limit
  if must_leave <= 0 then return 0 end
  local last = redis.call('ZRANGE', name, must_leave - 1, must_leave - 1, 'WITHSCORES')
  return tonumber(last[2] or now) + length - now
end

local function count_in_windows()
  for _, window in ipairs(ask.windows) do
    local name, limit, length = unpack(window)
    if limit > 0 then
      -- A request that joins another still counts, under a name of its own.
      for index = 0, ask.texts - 1 do redis.call('ZADD', name, now, ask.id .. '.' .. index) end
      redis.call('PEXPIRE', name, length)
    end
  end
end

local function remember_key(id)
  if ask.idempotency then
    redis.call('SET', ask.idempotency, ask.flight .. ' ' .. id, 'PX', ask.keep)
    redis.call('HSET', job_key(id), 'kept', 1) -- its client means to come back
  end
end

local function wait_with(id)
  if ask.waits then redis.call('HINCRBY', job_key(id), 'waiters', 1) else redis.call('HSET', job_key(id), 'kept', 1) end
end

local function cached_answers()
  if #ask.cache == 0 then return nil end
  local names = {}
  for i, digest in ipairs(ask.cache) do names[i] = key('cache:' .. digest) end
  local answers = redis.call('MGET', unpack(names))
  for i = 1, #names do if not answers[i] then return nil end end
  return answers
end

local function write_record()
  if ask.retry then
    redis.call('DEL', job, key('done:' .. ask.id))
    redis.call('ZREM', key('jobs:failed'), ask.id)
  end
  local record = {'state', 'queued', 'attempts', 0, 'created', now, 'parts', ask.texts, 'remaining', ask.texts}
  for name, value in pairs(ask.record) do
    record[#record + 1] = name
    record[#record + 1] = value
  end
  if ask.expires_in then
    record[#record + 1] = 'deadline'
    record[#record + 1] = now + ask.expires_in
  end
  redis.call('HSET', job, unpack(record))
  wait_with(ask.id)
  local mine = key('jobs:client:' .. ask.client)
  for _, other in ipairs(redis.call('ZRANDMEMBER', mine, 3)) do -- at most a third of the list is of jobs long gone
    if redis.call('EXISTS', job_key(other)) == 0 then redis.call('ZREM', mine, other) end
  end
  redis.call('ZADD', mine, moment, ask.id)
  redis.call('PEXPIRE', mine, ask.keep)
end

local function enqueue()
  local list = key(ask.priority == 'bulk' and 'queue:bulk' or 'queue')
  local record = {}
  for index, message in ipairs(ask.messages) do
    record[#record + 1] = 'message:' .. (index - 1)
    record[#record + 1] = message
    redis.call('ZADD', key('jobs:open'), clock[1] * 1000000 + clock[2] + index - 1, ask.id .. '.' .. (index - 1))
    redis.call('LPUSH', list, message)
  end
  redis.call('HSET', job, 'flight', ask.flight, unpack(record))
  redis.call('SET', flight, ask.id)
end

redis.call('HINCRBY', stats, 'requests', 1)
local known = ask.idempotency and redis.call('GET', ask.idempotency)
if known then
  local work, id = string.match(known, '^(%S+) (%S+)$')
  if redis.call('EXISTS', job_key(id)) == 1 then
    return work == ask.flight and {'repeated', id} or refuse('reused', id)
  end
end
if ask.retry then
  local state = redis.call('HGET', job, 'state')
  if state ~= 'failed' then return {'not_failed', state or ''} end
end
for _, window in ipairs(ask.windows) do
  local wait = wait_for(window)
  if wait > 0 then return refuse(window[4], wait) end
end

local running = redis.call('GET', flight)
if running and is_open(redis.call('HGET', job_key(running), 'state')) and not ask.retry then
  count_in_windows()
  wait_with(running)
  remember_key(running)
  redis.call('HINCRBY', stats, 'joined', 1)
  return {'joined', running}
end
local answers = cached_answers()
if answers then
  count_in_windows()
  write_record()
  remember_key(ask.id)
  end_job(ask.id, 'succeeded', '[' .. table.concat(answers, ',') .. ']')
  redis.call('HINCRBY', stats, 'cached', 1)
  return {'cached', ask.id}
end
if redis.call('EXISTS', key('draining')) == 1 then return refuse('draining', 0) end
local bulk = redis.call('LLEN', key('queue:bulk'))
local waiting = redis.call('LLEN', key('queue')) + bulk
if waiting + ask.texts > ask.max_waiting then return refuse('full', waiting) end
if ask.priority == 'bulk' and bulk + ask.texts > ask.max_bulk then return refuse('full_bulk', bulk) end

count_in_windows()
write_record()
enqueue()
remember_key(ask.id)
return {'admitted', ask.id, ask.priority == 'bulk' and waiting or waiting - bulk}
