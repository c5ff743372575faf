-- Strike off messages that are done, pop up to ARGV[1] more and write them down as unacknowledged, in
-- one step: none can be lost between.
--
-- KEYS 1 queue list  2 queue:bulk list  3 unacked:<node> hash  4 unacked_index:<node> zset
--      (3 and 4 as kombu keeps them)
-- ARGV 1 how many  2 '1' when bulk comes first  3, 4 exchange and routing key of each queue, as they
--      follow the message in kombu's note  5.. delivery tags of the messages that are done
-- -> the messages, in the order in which they run
local now = redis.call('TIME')[1]
for i = 5, #ARGV do
  redis.call('HDEL', KEYS[3], ARGV[i])
  redis.call('ZREM', KEYS[4], ARGV[i])
end

local messages = {}
local function take(queue, most)
  for _ = 1, most do
    local message = redis.call('RPOP', KEYS[queue])
    if not message then return end
    local tag = string.match(message, '"delivery_tag":%s*"([^"]+)"')
    redis.call('HSET', KEYS[3], tag, '[' .. message .. ARGV[queue + 2] .. ']')
    redis.call('ZADD', KEYS[4], now, tag)
    messages[#messages + 1] = message
  end
end

local most = tonumber(ARGV[1])
if ARGV[2] == '1' and most > 0 then take(2, 1) end
take(1, most - #messages)
take(2, most - #messages)
return messages
