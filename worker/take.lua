-- Strike off messages that are done, pop up to ARGV[1] more and write them down as unacknowledged, in
-- one step: none can be lost between.
--
-- KEYS 1 queue list  2 queue:bulk list  3 unacked:<node> hash  4 unacked_index:<node> zset
--      (3 and 4 as kombu keeps them)
-- ARGV 1 how many  2 how many of them may write text: others of that kind stay where they are, and do not
--      hold up those behind them  3 '1' when bulk comes first  4 name of the task that writes text
--      5, 6 exchange and routing key of each queue, as they follow the message in kombu's note
--      7.. delivery tags of the messages that are done
-- -> the messages, in the order in which they run
local now = redis.call('TIME')[1]
for i = 7, #ARGV do
  redis.call('HDEL', KEYS[3], ARGV[i])
  redis.call('ZREM', KEYS[4], ARGV[i])
end

local LOOK = 100 -- messages looked at behind texts that wait for a row: this runs between two tokens
local messages, rows = {}, tonumber(ARGV[2])
local function take(queue, most)
  local place, wanted = -1, #messages + most
  while #messages < wanted and place >= -LOOK do
    local message = redis.call('LINDEX', KEYS[queue], place)
    if not message then return end
    local writes = string.match(message, '"task":%s*"([^"]+)"') == ARGV[4]
    if writes and rows <= 0 then
      place = place - 1
    else
      redis.call('LREM', KEYS[queue], -1, message)
      local tag = string.match(message, '"delivery_tag":%s*"([^"]+)"')
      redis.call('HSET', KEYS[3], tag, '[' .. message .. ARGV[queue + 4] .. ']')
      redis.call('ZADD', KEYS[4], now, tag)
      messages[#messages + 1] = message
      if writes then rows = rows - 1 end
    end
  end
end

local most = tonumber(ARGV[1])
if ARGV[3] == '1' and most > 0 then take(2, 1) end
take(1, most - #messages)
take(2, most - #messages)
return messages
