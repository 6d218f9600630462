-- Sets jobs aside in the dead set, and trims it by age and by number.
--
-- KEYS[1]  the dead set: sorted, score = seconds since 1970
-- ARGV[1]  the score of what is older than the set keeps
-- ARGV[2]  how many the set keeps at the most
-- ARGV[3…] score, record, score, record, …; a record holds an id of its own,
--          so adding it twice is adding it once: this may be sent again
--
-- The expiry command comes first, and does nothing: after it the same script
-- may write although Redis is out of memory.
redis.call('PERSIST', KEYS[1])
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
return 1
