-- Store the outcomes of one batch; with its last text a job ends and wakes whoever waits for it.
-- State, result, wake-up and counters change together. An older attempt changes nothing.
--
-- KEYS 1 jobs:open zset  2 stats hash  3 stats:recent list  then for each text job:<id> hash, done:<id> list
-- ARGV 1 TTL of an ended job, s  2 how many recent texts to keep  3 texts in the engine step
--      4 inference ms of the step
--      then for each text: part id, index, attempt, '1' if it failed, outcome as JSON
-- -> for each text 1 stored | 0 nothing to do: the attempt is stale, or the outcome stands already
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local open, stats, recent = KEYS[1], KEYS[2], KEYS[3]
local ttl, keep, step_texts, step_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

local function end_job(job, done, texts, failures)
  local outcomes, spent = {}, {}
  for i = 0, texts - 1 do
    outcomes[i + 1] = redis.call('HGET', job, 'part:' .. i)
    spent[#spent + 1] = 'part:' .. i
    spent[#spent + 1] = 'attempts:' .. i
  end
  local state = failures == texts and 'failed' or 'succeeded'
  if state == 'succeeded' then spent[#spent + 1] = 'request' end
  redis.call('HSET', job, 'state', state, 'finished', now, 'result', '[' .. table.concat(outcomes, ',') .. ']')
  redis.call('HDEL', job, 'remaining', 'failures', unpack(spent))
  redis.call('EXPIRE', job, ttl)
  redis.call('HINCRBY', stats, state, 1)
  redis.call('LPUSH', done, 'ended')
  redis.call('EXPIRE', done, ttl)
end

local function finish(job, done, part, index, attempt, failed, outcome)
  local known = redis.call('HMGET', job, 'attempts:' .. index, 'created', 'started', 'inference_ms', 'parts')
  if known[1] ~= attempt then return 0 end
  if redis.call('HSETNX', job, 'part:' .. index, outcome) == 0 then return 0 end
  redis.call('ZREM', open, part)
  redis.call('HDEL', job, 'message:' .. index)
  if tonumber(step_ms) > tonumber(known[4] or 0) then redis.call('HSET', job, 'inference_ms', step_ms) end
  redis.call('LPUSH', recent, string.format('%d %s %s', known[3] - known[2], step_ms, step_texts))
  redis.call('HINCRBY', stats, 'texts', 1)
  local failures = redis.call('HINCRBY', job, 'failures', failed)
  if redis.call('HINCRBY', job, 'remaining', -1) == 0 then end_job(job, done, tonumber(known[5]), failures) end
  return 1
end

local stored = {}
for i = 1, (#KEYS - 3) / 2 do
  local a = 5 * i
  stored[i] = finish(KEYS[2 + 2 * i], KEYS[3 + 2 * i], ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4])
end
redis.call('HINCRBY', stats, 'batches', 1)
redis.call('LTRIM', recent, 0, keep - 1)
return stored
