-- Put texts that a dead worker had in hand back at the head of the queue, and name the texts that
-- stand in no list at all (a worker can die between popping a message and writing it down).
--
-- KEYS 1 queue list  2 jobs:open zset  3.. unacked hashes of the live nodes
-- ARGV 1 prefix of job records  2.. part ids that no live worker is known to have in hand
-- -> {part ids put back, part ids of open jobs that are in no list and were not put back}
local present = {}
local function note(messages)
  for _, message in ipairs(messages) do
    local part = string.match(message, '"correlation_id":%s*"([%w_%-]+%.%d+)"')
    if part then present[part] = true end
  end
end
note(redis.call('LRANGE', KEYS[1], 0, -1))
for i = 3, #KEYS do note(redis.call('HVALS', KEYS[i])) end

local orphans, back, missing = {}, {}, {}
for i = 2, #ARGV do orphans[ARGV[i]] = true end
for _, part in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do -- the oldest is pushed last: popped first
  if not present[part] then
    local id, index = string.match(part, '^(.*)%.(%d+)$')
    local message = redis.call('HGET', ARGV[1] .. id, 'message:' .. index)
    if not message then
      redis.call('ZREM', KEYS[2], part)
    elseif orphans[part] then
      redis.call('RPUSH', KEYS[1], message)
      redis.call('HSET', ARGV[1] .. id, 'state', 'queued')
      back[#back + 1] = part
    else
      missing[#missing + 1] = part
    end
  end
end
return {back, missing}
