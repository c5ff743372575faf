-- Take one text of a job in hand.
--
-- KEYS 1 job:<id>  hash
-- ARGV 1 index of the text  2 node of the worker
-- -> {attempt, request} | false when the job has ended, is gone, or this text already has its result
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local job, index = KEYS[1], ARGV[1]
local state = redis.call('HGET', job, 'state')
if state ~= 'queued' and state ~= 'running' then return false end
if redis.call('HEXISTS', job, 'part:' .. index) == 1 then return false end
local attempt = redis.call('HINCRBY', job, 'attempts:' .. index, 1)
if attempt > tonumber(redis.call('HGET', job, 'attempts')) then redis.call('HSET', job, 'attempts', attempt) end
redis.call('HSETNX', job, 'started', now)
redis.call('HSET', job, 'state', 'running', 'owner', ARGV[2])
return {attempt, redis.call('HGET', job, 'request')}
