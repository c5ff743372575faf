-- Delete a file's record, unless an open batch reads the file.
--
-- ARGV 1 terms (shared/job.lua)  2 file id  3 client
-- -> 'deleted' | 'used' | 'unknown'
local file = key('file:' .. ARGV[2])
local client, uses = unpack(redis.call('HMGET', file, 'client', 'uses'))
if client ~= ARGV[3] then return 'unknown' end
if tonumber(uses or 0) > 0 then return 'used' end
redis.call('DEL', file)
redis.call('ZREM', key('files:client:' .. client), ARGV[2])
return 'deleted'
