-- Strike off messages that are done, pop up to ARGV[1] more and write them down as unacknowledged, in
-- one step: none can be lost between.
--
-- KEYS 1 queue list  2 unacked:<node> hash  3 unacked_index:<node> zset   (2 and 3 as kombu keeps them)
-- ARGV 1 how many  2 exchange and routing key, as they follow the message in kombu's note
--      3.. delivery tags of the messages that are done
-- -> the messages, oldest first
local now = redis.call('TIME')[1]
for i = 3, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('ZREM', KEYS[3], ARGV[i])
end
local messages = {}
for i = 1, tonumber(ARGV[1]) do
  local message = redis.call('RPOP', KEYS[1])
  if not message then break end
  local tag = string.match(message, '"delivery_tag":%s*"([^"]+)"')
  redis.call('HSET', KEYS[2], tag, '[' .. message .. ARGV[2] .. ']')
  redis.call('ZADD', KEYS[3], now, tag)
  messages[i] = message
end
return messages
