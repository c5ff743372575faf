-- Store the outcomes of one batch; with its last text a job ends and wakes whoever waits for it.
-- State, result, wake-up and counters change together. An older attempt changes nothing.
--
-- ARGV 1 terms (shared/job.lua)  2 texts in the engine step  3 inference ms of the step
--      then for each text: part id, attempt, '1' if it failed, outcome as JSON, and the name under which
--      the cache keeps it ('': it does not)
-- -> for each text 1 stored | 0 nothing to do: the attempt is stale, the outcome stands already, or
--    its job has been cancelled
local step_texts, step_ms = ARGV[2], ARGV[3]
local stats, recent = key('stats'), key('stats:recent')
local BOOKKEEPING = 200 -- bytes that Redis takes for an entry besides its value, measured
local index, size = key('cached'), key('cached:bytes')

-- Forgets the oldest entry if it is older than `since`; false when there is none.
local function forget_oldest(since)
  local entry = redis.call('ZRANGEBYSCORE', index, '-inf', since, 'LIMIT', 0, 1)[1]
  if not entry then return false end
  local digest, bytes = string.match(entry, '^(%x+):(%d+)$')
  redis.call('ZREM', index, entry)
  redis.call('DEL', key('cache:' .. digest))
  redis.call('DECRBY', size, bytes)
  return true
end

local function remember(digest, outcome)
  local bytes = #outcome + BOOKKEEPING
  if digest == '' or terms.cache_ttl == 0 or bytes > terms.cache_bytes then return end
  while forget_oldest(now - terms.cache_ttl * 1000) do end
  if not redis.call('SET', key('cache:' .. digest), outcome, 'PX', terms.cache_ttl * 1000, 'NX') then return end
  redis.call('ZADD', index, now, digest .. ':' .. bytes)
  redis.call('INCRBY', size, bytes)
  while tonumber(redis.call('GET', size)) > terms.cache_bytes do forget_oldest('+inf') end
end

local function finish(part, attempt, failed, outcome, digest)
  local id, place = split_part(part)
  local job = job_key(id)
  local known = redis.call('HMGET', job, 'attempts:' .. place, 'created', 'started', 'inference_ms', 'parts',
    'message:' .. place)
  if known[1] ~= attempt then return 0 end
  if redis.call('HSETNX', job, 'part:' .. place, outcome) == 0 then return 0 end
  close_part(part, known[6])
  redis.call('HDEL', job, 'message:' .. place)
  if tonumber(step_ms) > tonumber(known[4] or 0) then redis.call('HSET', job, 'inference_ms', step_ms) end
  redis.call('LPUSH', recent, string.format('%d %s %s %d', known[3] - known[2], step_ms, step_texts, now))
  redis.call('HINCRBY', stats, 'texts', 1)
  remember(digest, outcome)
  local failures = redis.call('HINCRBY', job, 'failures', failed)
  if redis.call('HINCRBY', job, 'remaining', -1) > 0 then return 1 end
  local parts, outcomes = tonumber(known[5]), {}
  for i = 0, parts - 1 do outcomes[i + 1] = redis.call('HGET', job, 'part:' .. i) end
  end_job(id, failures == parts and 'failed' or 'succeeded', '[' .. table.concat(outcomes, ',') .. ']')
  return 1
end

local stored = {}
for i = 4, #ARGV, 5 do stored[#stored + 1] = finish(unpack(ARGV, i, i + 4)) end
redis.call('HINCRBY', stats, 'batches', 1)
redis.call('LTRIM', recent, 0, terms.recent - 1)
return stored
