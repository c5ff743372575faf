-- Count an attempt with a wrong key; too many from one address are refused for a while.
--
-- KEYS 1 window:auth:<address>  zset  score = ms of an attempt; expires with the window
-- ARGV 1 attempts  2 window ms
-- -> 0, or ms until the next attempt is looked at
local time = redis.call('TIME')
local now, window = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
  return tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]) + window - now
end
redis.call('ZADD', KEYS[1], now, time[1] .. '.' .. time[2])
redis.call('PEXPIRE', KEYS[1], window)
return 0
