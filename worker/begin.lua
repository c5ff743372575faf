-- Take the texts of one batch in hand. A text that has been tried before may have killed its worker:
-- among others it is left as it is, so that the caller takes it alone, after them.
--
-- KEYS job:<id>  hash, one for each text
-- ARGV 1 node of the worker  2.. index of each text in its job
-- -> for each text {attempt, request}; {} when it must be taken alone; false when its job has ended
--    or is gone, or the text already has its outcome
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function begin(job, index)
  local known = redis.call('HMGET', job, 'state', 'attempts', 'request', 'part:' .. index, 'attempts:' .. index)
  local state, attempts, request, outcome, tried = unpack(known)
  if (state ~= 'queued' and state ~= 'running') or outcome then return false end
  if tried and #KEYS > 1 then return {} end
  local attempt = redis.call('HINCRBY', job, 'attempts:' .. index, 1)
  redis.call('HSETNX', job, 'started', now)
  redis.call('HSET', job, 'state', 'running', 'owner', ARGV[1], 'attempts', math.max(attempt, attempts))
  return {attempt, request}
end

local taken = {}
for i, job in ipairs(KEYS) do taken[i] = begin(job, ARGV[i + 1]) end
return taken
