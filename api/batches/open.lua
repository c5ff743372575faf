-- Open a batch, or refuse it and change nothing.
--
-- ARGV 1 terms (shared/job.lua)
--      2 what is asked, as JSON: id, client, file, record (field -> value), most (requests that a client may
--        have in open batches), keep (seconds that the client's list lives)
-- -> {'opened', now} | {'draining', 0} | {'no_file', 0} | {'too_many', requests that are open}
local ask = cjson.decode(ARGV[2])
local file, batch = key('file:' .. ask.file), key('batch:' .. ask.id)
if redis.call('EXISTS', key('draining')) == 1 then return {'draining', 0} end
local owner, lines = unpack(redis.call('HMGET', file, 'client', 'lines'))
if owner ~= ask.client then return {'no_file', 0} end
local open = tonumber(redis.call('HGET', key('batches:rows'), ask.client) or 0)
if open + lines > ask.most then return {'too_many', open} end

local record = {'status', 'validating', 'created_at', math.floor(now / 1000), 'rows', lines}
for name, value in pairs(ask.record) do
  record[#record + 1] = name
  record[#record + 1] = value
end
redis.call('HSET', batch, unpack(record))
redis.call('HINCRBY', key('batches:rows'), ask.client, lines)
redis.call('HINCRBY', file, 'uses', 1)
redis.call('ZADD', key('batches:open'), moment, ask.id)
local mine = key('batches:client:' .. ask.client)
redis.call('ZADD', mine, moment, ask.id)
redis.call('EXPIRE', mine, ask.keep)
redis.call('LPUSH', key('batches:wake'), 'opened')
redis.call('EXPIRE', key('batches:wake'), 60)
return {'opened', math.floor(now / 1000)}
