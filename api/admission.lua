-- Admit a job or refuse it: both rate windows, the queue bound, the job record and its messages in
-- one atomic step. All checks come before all writes, so that a refused request changes nothing
-- (its refusal is counted in stats, nothing else).
--
-- KEYS 1 window:client:<client>  zset  member = part id, score = ms of admission; expires with the window
--      2 window:all              zset  the same over all clients
--      3 queue                   list  the Celery queue; its length is "waiting"
--      4 job:<id>                hash  the new record; no TTL while the job is open
--      5 jobs:open               zset  member = part id, score = microseconds of admission, so in order; permanent
--      6 stats                   hash  counters; permanent
-- ARGV 1 job id  2 client limit  3 client window ms  4 limit over all  5 window over all ms
--      6 max waiting  7 number of record fields  8.. field, value, …   then one message per text
-- A limit of 0 is no limit; a bound of 0 refuses all.
-- -> {'admitted', waiting before it} | {'client' | 'all', ms until it fits} | {'full', waiting}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, max_waiting, fields = ARGV[1], tonumber(ARGV[6]), tonumber(ARGV[7])
local first_message = 8 + 2 * fields
local texts = #ARGV - first_message + 1

local function wait_for_window(key, limit, window)
  if limit == 0 then return 0 end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local must_leave = redis.call('ZCARD', key) + texts - limit
  if must_leave <= 0 then return 0 end
  local last = redis.call('ZRANGE', key, must_leave - 1, must_leave - 1, 'WITHSCORES')
  return tonumber(last[2] or now) + window - now
end

local function refuse(reason, value)
  redis.call('HINCRBY', KEYS[6], 'rejected:' .. reason, 1)
  return {reason, value}
end

redis.call('HINCRBY', KEYS[6], 'requests', 1)
local wait = wait_for_window(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
if wait > 0 then return refuse('client', wait) end
wait = wait_for_window(KEYS[2], tonumber(ARGV[4]), tonumber(ARGV[5]))
if wait > 0 then return refuse('all', wait) end
local waiting = redis.call('LLEN', KEYS[3])
if waiting + texts > max_waiting then return refuse('full', waiting) end

local record = {'state', 'queued', 'attempts', 0, 'created', now, 'parts', texts, 'remaining', texts}
for i = 8, first_message - 1 do record[#record + 1] = ARGV[i] end
for index = 0, texts - 1 do
  local part, message = id .. '.' .. index, ARGV[first_message + index]
  record[#record + 1] = 'message:' .. index
  record[#record + 1] = message
  if tonumber(ARGV[2]) > 0 then redis.call('ZADD', KEYS[1], now, part) end
  if tonumber(ARGV[4]) > 0 then redis.call('ZADD', KEYS[2], now, part) end
  redis.call('ZADD', KEYS[5], time[1] * 1000000 + time[2] + index, part)
  redis.call('LPUSH', KEYS[3], message)
end
if tonumber(ARGV[2]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if tonumber(ARGV[4]) > 0 then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
redis.call('HSET', KEYS[4], unpack(record))
return {'admitted', waiting}
