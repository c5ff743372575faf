-- Take the texts of one batch in hand. A text that has been tried before may have killed its worker:
-- among others it is left as it is, so that the caller takes it alone, after them. A text whose time
-- is over ends its job, and so does a record that a newer version has written.
--
-- ARGV 1 terms (shared/job.lua)  2 node of the worker  3 newest version of the records that it reads
--      4 outcome, as JSON, of a text in a record of another version  5.. part ids
-- -> for each text {attempt, request, store}; {} when it must be taken alone; false when its job has
--    ended or is gone, or the text already has its outcome
local node, version, unreadable = ARGV[2], ARGV[3], ARGV[4]
local texts = #ARGV - 4

local function refuse(id, parts)
  local outcomes = {}
  for i = 1, parts do outcomes[i] = unreadable end
  end_job(id, 'failed', '[' .. table.concat(outcomes, ',') .. ']')
  return false
end

local function begin(part)
  local id, index = split_part(part)
  local job = job_key(id)
  local known = redis.call('HMGET', job, 'v', 'state', 'attempts', 'deadline', 'parts', 'request', 'store',
    'part:' .. index, 'attempts:' .. index)
  local v, state, attempts, deadline, parts, request, store, outcome, tried = unpack(known)
  if not is_open(state) or outcome then return false end
  if not (tonumber(v) and tonumber(v) <= tonumber(version)) then return refuse(id, parts) end
  if state == 'queued' and deadline and now > tonumber(deadline) then
    end_job(id, 'expired')
    return false
  end
  if tried and texts > 1 then return {} end
  local attempt = redis.call('HINCRBY', job, 'attempts:' .. index, 1)
  redis.call('HSETNX', job, 'started', now)
  redis.call('HSET', job, 'state', 'running', 'owner', node, 'attempts', math.max(attempt, attempts))
  return {attempt, request, store or '1'}
end

local taken = {}
for i = 1, texts do taken[i] = begin(ARGV[i + 4]) end
return taken
