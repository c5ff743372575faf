-- End a job before its time. What waits leaves the queue at once; what runs is fenced off: its outcome
-- is dropped when it comes.
--
-- ARGV 1 terms (shared/job.lua)  2 job id  3 why:
--      'cancel'  its client asks for it
--      'leave'   a caller that waited has gone; the job ends only if nobody else wants it, and it is queued or writes text
--      'expire'  its deadline may have passed while it waited
--      'withdraw' a batch takes back a row that nobody has begun
--      'keep'    a caller stops waiting but means to come back: the job must not end when others leave
-- -> the job's state before
local id, why = ARGV[2], ARGV[3]
local job = job_key(id)
local state, kept, writes = unpack(redis.call('HMGET', job, 'state', 'kept', 'writes'))
if not is_open(state) then return state or '' end
if why == 'keep' then
  redis.call('HSET', job, 'kept', 1)
elseif why == 'cancel' or why == 'withdraw' then
  if why == 'cancel' or state == 'queued' then end_job(id, 'cancelled') end
elseif why == 'expire' then
  if state == 'queued' and now > tonumber(redis.call('HGET', job, 'deadline')) then end_job(id, 'expired') end
elseif redis.call('HINCRBY', job, 'waiters', -1) <= 0 and not kept and (state == 'queued' or writes) then
  end_job(id, 'cancelled')
end
return state
