-- Move a batch from one status to another; a batch that ends gets its lifetime, its files become its
-- client's, and what it held is free again. All of it, or nothing.
--
-- ARGV 1 terms (shared/job.lua)
--      2 what is asked, as JSON: id, to, from (list), set (field -> value), files (each: id, field -> value),
--        keep (seconds that an ended batch lives), file_keep (seconds that the files live)
-- -> the status before ('' when there is no such batch); nothing has changed if it is not one of `from`
local ENDED = {completed = true, failed = true, expired = true, cancelled = true}
local ask = cjson.decode(ARGV[2])
local batch = key('batch:' .. ask.id)
local status, client, input, rows = unpack(redis.call('HMGET', batch, 'status', 'client', 'input', 'rows'))
local allowed = false
for _, name in ipairs(ask.from) do allowed = allowed or name == status end
if not allowed then return status or '' end

local function set(name, fields)
  for field, value in pairs(fields) do redis.call('HSET', name, field, value) end
end

redis.call('HSET', batch, 'status', ask.to, ask.to .. '_at', math.floor(now / 1000))
set(batch, ask.set)
redis.call('LPUSH', key('batches:wake'), ask.to)
redis.call('EXPIRE', key('batches:wake'), 60)
if not ENDED[ask.to] then return status end

for _, file in ipairs(ask.files) do
  local id, mine = file.id, key('files:client:' .. client)
  file.id = nil
  set(key('file:' .. id), file)
  redis.call('EXPIRE', key('file:' .. id), ask.file_keep)
  redis.call('ZADD', mine, now / 1000, id)
  if redis.call('TTL', mine) < ask.file_keep then redis.call('EXPIRE', mine, ask.file_keep) end
end
redis.call('ZREM', key('batches:open'), ask.id)
redis.call('EXPIRE', batch, ask.keep)
if redis.call('HINCRBY', key('batches:rows'), client, -rows) <= 0 then redis.call('HDEL', key('batches:rows'), client) end
if redis.call('EXISTS', key('file:' .. input)) == 1 then redis.call('HINCRBY', key('file:' .. input), 'uses', -1) end
return status
