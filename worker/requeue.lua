-- Put texts that a dead worker had in hand back at the head of their queue, name the texts that stand
-- in no list at all (a worker can die between popping a message and writing it down), and end the
-- jobs that waited past their deadline.
--
-- ARGV 1 terms (shared/job.lua)  2 how many live nodes  3.. their names
--      then part ids that no live worker is known to have in hand
-- -> {part ids put back, part ids of open jobs that are in no list and were not put back}
local nodes = tonumber(ARGV[2])
local present = {}
local function note(messages)
  for _, message in ipairs(messages) do
    local part = string.match(message, '"correlation_id":%s*"([%w_%-]+%.%d+)"')
    if part then present[part] = true end
  end
end
note(redis.call('LRANGE', key('queue'), 0, -1))
note(redis.call('LRANGE', key('queue:bulk'), 0, -1))
for i = 1, nodes do note(redis.call('HVALS', key('unacked:' .. ARGV[i + 2]))) end

local orphans, back, missing = {}, {}, {}
for i = nodes + 3, #ARGV do orphans[ARGV[i]] = true end

local function put_back(part, id, message)
  local list = redis.call('HGET', job_key(id), 'priority') == 'bulk' and 'queue:bulk' or 'queue'
  redis.call('RPUSH', key(list), message)
  redis.call('HSET', job_key(id), 'state', 'queued')
  back[#back + 1] = part
end

for _, part in ipairs(redis.call('ZREVRANGE', key('jobs:open'), 0, -1)) do -- the oldest is pushed last: popped first
  local id, place = split_part(part)
  local message, state, deadline = unpack(redis.call('HMGET', job_key(id), 'message:' .. place, 'state', 'deadline'))
  if not message then
    redis.call('ZREM', key('jobs:open'), part)
  elseif state == 'queued' and deadline and now > tonumber(deadline) then
    end_job(id, 'expired')
  elseif not present[part] and orphans[part] then
    put_back(part, id, message)
  elseif not present[part] then
    missing[#missing + 1] = part
  end
end
return {back, missing}
