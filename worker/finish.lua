-- Store the outcome of one text; with the last one, end the job and wake whoever waits for it.
-- State, result, wake-up and counters change together. An older attempt changes nothing.
--
-- KEYS 1 job:<id>      hash  2 jobs:open zset  3 done:<id> list  4 stats hash  5 stats:recent list
-- ARGV 1 part id  2 index  3 attempt  4 '1' if it failed  5 outcome as JSON  6 inference ms
--      7 texts in its batch  8 '1' if it is the first of its batch  9 TTL of an ended job, s
--      10 how many recent texts to keep
-- -> 1 stored | 0 nothing to do: the attempt is stale, or the outcome stands already
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local job, index = KEYS[1], ARGV[2]
if redis.call('HGET', job, 'attempts:' .. index) ~= ARGV[3] then return 0 end
if redis.call('HSETNX', job, 'part:' .. index, ARGV[5]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', job, 'message:' .. index)
redis.call('HINCRBY', job, 'failures', ARGV[4])

local inference = math.max(tonumber(ARGV[6]), tonumber(redis.call('HGET', job, 'inference_ms') or 0))
redis.call('HSET', job, 'inference_ms', string.format('%.1f', inference))
if ARGV[8] == '1' then redis.call('HINCRBY', KEYS[4], 'batches', 1) end
redis.call('HINCRBY', KEYS[4], 'texts', 1)
local created, started = unpack(redis.call('HMGET', job, 'created', 'started'))
redis.call('LPUSH', KEYS[5], string.format('%d %s %s', started - created, ARGV[6], ARGV[7]))
redis.call('LTRIM', KEYS[5], 0, ARGV[10] - 1)

if redis.call('HINCRBY', job, 'remaining', -1) > 0 then return 1 end
local texts, outcomes = tonumber(redis.call('HGET', job, 'parts')), {}
for i = 0, texts - 1 do
  outcomes[i + 1] = redis.call('HGET', job, 'part:' .. i)
  redis.call('HDEL', job, 'part:' .. i, 'attempts:' .. i)
end
local state = 'succeeded'
if tonumber(redis.call('HGET', job, 'failures')) == texts then state = 'failed' end
redis.call('HSET', job, 'state', state, 'finished', now, 'result', '[' .. table.concat(outcomes, ',') .. ']')
redis.call('HDEL', job, 'remaining', 'failures')
if state == 'succeeded' then redis.call('HDEL', job, 'request') end
redis.call('EXPIRE', job, ARGV[9])
redis.call('HINCRBY', KEYS[4], state, 1)
redis.call('LPUSH', KEYS[3], 'ended')
redis.call('EXPIRE', KEYS[3], ARGV[9])
return 1
