-- Deliver what generations have written since the last time, and learn which of them are still wanted.
--
-- ARGV 1 terms (shared/job.lua)  then for each: part id, attempt, chunk as JSON ('': nothing new)
-- -> for each 1 go on | 0 its job was cancelled or is gone, or another worker has it
local function progress(part, attempt, chunk)
  local id, place = split_part(part)
  local state, current = unpack(redis.call('HMGET', job_key(id), 'state', 'attempts:' .. place))
  if state ~= 'running' or current ~= attempt then return 0 end
  if chunk ~= '' then
    local tokens = key('tokens:' .. id)
    redis.call('XADD', tokens, '*', 'part', place, 'chunk', chunk)
    redis.call('EXPIRE', tokens, terms.result_ttl)
  end
  return 1
end

local wanted = {}
for i = 2, #ARGV, 3 do wanted[#wanted + 1] = progress(unpack(ARGV, i, i + 2)) end
return wanted
