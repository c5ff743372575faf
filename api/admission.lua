-- Admit a job or refuse it: idempotency key, rate windows, work in flight, cached answers, the queue
-- bound, the job record and its messages in one atomic step. All checks come before all writes, so
-- that a refused request changes nothing (its refusal is counted in stats, nothing else).
-- Rows of batches that nobody has begun give way to every other request that finds no room.
--
-- ARGV 1 terms (shared/job.lua)
--      2 what is asked, as JSON: id, client, priority, texts (how many), messages and cache digests (one
--        for each text; no digests: not cached), record (field -> value), flight (fingerprint), waits
--        (somebody waits on the connection), expires_in (ms), keep (ms that the client's list and
--        its idempotency keys live), windows ({key, limit, ms, name}; a limit of 0 is no limit), max_waiting, max_bulk,
--        idempotency (key name, or nil), retry (run a failed job again), paced (the pace is wanted), row (of a
--        batch: in no list, its refusals are not counted)
-- -> {'admitted', id, left, texts before it} | {'cached', id, left} | {'joined', id, left} | {'repeated', id, left}
--    {'reused', id, left} the idempotency key belongs to other work | {'not_failed', state} nothing to retry
--    {<window name>, ms until all windows fit, left} | {'full', waiting, left} | {'full_bulk', waiting, left}
--    {'draining', 0, left}
--    left: 'waiting, of those bulk, pace, then for each window: texts in it, ms until one leaves (or until this
--    request fits)', numbers between spaces; pace: microseconds from one text's end to the next while there is
--    work, -1 not measured
local ask = cjson.decode(ARGV[2])
local stats, job = key('stats'), job_key(ask.id)
local flight = key('flight:' .. ask.flight)

local SAMPLE = 30 -- recent texts from which the pace is measured
local used, opens = {}, {} -- for each window: texts in it, and ms until one leaves
local waiting, bulk

local function look_at_queue()
  bulk = redis.call('LLEN', key('queue:bulk'))
  waiting = redis.call('LLEN', key('queue')) + bulk
end

-- Texts through the time in which at least one of them was worked on, by however many workers. Lines
-- are in order of their ends, the last first.
local function pace()
  local busy, texts, edge = 0, 0, math.huge
  for _, line in ipairs(redis.call('LRANGE', key('stats:recent'), 0, SAMPLE - 1)) do
    local took, ended = string.match(line, '^%S+ (%S+) %S+ (%S+)$')
    if ended then
      local began = ended - took
      busy = busy + math.max(0, math.min(edge, ended) - began)
      edge = math.min(edge, began)
      texts = texts + 1
    end
  end
  return texts > 0 and math.ceil(1000 * busy / texts) or -1
end

local function left(with_pace)
  if not waiting then look_at_queue() end
  local found = {waiting, bulk, with_pace and pace() or -1}
  for i, window in ipairs(ask.windows) do
    found[#found + 1] = used[i] or 0
    found[#found + 1] = opens[i] or window[3]
  end
  return table.concat(found, ' ')
end

local function refuse(reason, value)
  if not ask.row then redis.call('HINCRBY', stats, 'rejected:' .. reason, 1) end -- the feeder asks until there is room
  return {reason, value, left(reason == 'full' or reason == 'full_bulk')}
end

local function wait_for(i, window)
  local name, limit, length = unpack(window)
  if limit == 0 then return 0 end
  redis.call('ZREMRANGEBYSCORE', name, '-inf', now - length)
  used[i] = redis.call('ZCARD', name)
  local must_leave = used[i] + ask.texts - limit
  local last = math.max(must_leave, 1) - 1
  opens[i] = tonumber(redis.call('ZRANGE', name, last, last, 'WITHSCORES')[2] or now) + length - now
  return must_leave > 0 and opens[i] or 0
end

local function count_in_windows()
  for i, window in ipairs(ask.windows) do
    local name, limit, length = unpack(window)
    if limit > 0 then
      -- A request that joins another still counts, under a name of its own.
      for index = 0, ask.texts - 1 do redis.call('ZADD', name, now, ask.id .. '.' .. index) end
      redis.call('PEXPIRE', name, length)
      used[i] = used[i] + ask.texts
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
  if ask.row then return end
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

-- Rows that make room for so many texts, the newest first; nil when there are not enough.
local function rows_that_give_way(texts)
  local rows, waiting_texts, freed = {}, {}, 0
  for _, message in ipairs(redis.call('LRANGE', key('queue:bulk'), 0, -1)) do
    local id = string.match(message, '"correlation_id":%s*"([%w_%-]+)%.%d+"')
    if waiting_texts[id] then
      waiting_texts[id] = waiting_texts[id] + 1
    elseif id then
      local row, state = unpack(redis.call('HMGET', job_key(id), 'row', 'state'))
      if row and state == 'queued' then
        rows[#rows + 1] = id
        waiting_texts[id] = 1
      end
    end
  end
  local going = {}
  for _, id in ipairs(rows) do
    if freed >= texts then break end
    going[#going + 1] = id
    freed = freed + waiting_texts[id]
  end
  if freed >= texts then return going end
end

-- As if it had not been admitted yet; the feeder is woken, finds no record and asks again later.
local function give_way(id)
  local parts, flight_of = unpack(redis.call('HMGET', job_key(id), 'parts', 'flight'))
  for i = 0, parts - 1 do
    local message = redis.call('HGET', job_key(id), 'message:' .. i)
    if message then close_part(id .. '.' .. i, message) end
  end
  redis.call('DEL', job_key(id), key('flight:' .. flight_of))
  redis.call('LPUSH', key('done:' .. id), 'gave way')
  redis.call('EXPIRE', key('done:' .. id), terms.result_ttl)
end

if ask.row then
  if redis.call('EXISTS', job) == 1 then return {'repeated', ask.id, left(false)} end
else
  redis.call('HINCRBY', stats, 'requests', 1)
end
local known = ask.idempotency and redis.call('GET', ask.idempotency)
if known then
  local work, id = string.match(known, '^(%S+) (%S+)$')
  if redis.call('EXISTS', job_key(id)) == 1 then
    for i, window in ipairs(ask.windows) do wait_for(i, window) end
    return work == ask.flight and {'repeated', id, left(ask.paced)} or refuse('reused', id)
  end
end
if ask.retry then
  local state = redis.call('HGET', job, 'state')
  if state ~= 'failed' then return {'not_failed', state or ''} end
end
local longest, shut = 0, nil
for i, window in ipairs(ask.windows) do
  local wait = wait_for(i, window)
  if wait > longest then longest, shut = wait, window[4] end
end
if shut then return refuse(shut, longest) end

local running = redis.call('GET', flight)
if running and is_open(redis.call('HGET', job_key(running), 'state')) and not ask.retry then
  count_in_windows()
  wait_with(running)
  remember_key(running)
  redis.call('HINCRBY', stats, 'joined', 1)
  return {'joined', running, left(ask.paced)}
end
local answers = cached_answers()
if answers then
  count_in_windows()
  write_record()
  remember_key(ask.id)
  end_job(ask.id, 'succeeded', '[' .. table.concat(answers, ',') .. ']')
  redis.call('HINCRBY', stats, 'cached', 1)
  return {'cached', ask.id, left(false)}
end
if redis.call('EXISTS', key('draining')) == 1 then return refuse('draining', 0) end
look_at_queue()
local too_many = waiting + ask.texts - ask.max_waiting
local too_many_bulk = ask.priority == 'bulk' and bulk + ask.texts - ask.max_bulk or 0
if too_many > 0 or too_many_bulk > 0 then
  local going = not ask.row and rows_that_give_way(math.max(too_many, too_many_bulk))
  if not going then
    if too_many > 0 then return refuse('full', waiting) end
    return refuse('full_bulk', bulk)
  end
  for _, id in ipairs(going) do give_way(id) end
  look_at_queue()
end

count_in_windows()
write_record()
enqueue()
remember_key(ask.id)
local before = ask.priority == 'bulk' and waiting or waiting - bulk
waiting = waiting + ask.texts
if ask.priority == 'bulk' then bulk = bulk + ask.texts end
return {'admitted', ask.id, left(ask.paced), before}
