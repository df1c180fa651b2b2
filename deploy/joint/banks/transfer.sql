-- At bank A: 100.00 from its account A-1 to bank B's B-7, or nothing of it. The same id at both banks
-- is the entry of both.
INSERT INTO keepstep_joint (id, timeout_ms, changes) VALUES ('tr-9f2', 5000, '[
 {"service":"bank_a","type":"account","key":{"id":"A-1"},   "op":"u","add":{"cents":-10000},"if":{"frozen":false}},
 {"service":"bank_a","type":"entry",  "key":{"id":"tr-9f2"},"op":"c","set":{"account":"A-1","cents":-10000}},
 {"service":"bank_b","type":"account","key":{"id":"B-7"},   "op":"u","add":{"cents":10000},"if":{"frozen":false}},
 {"service":"bank_b","type":"entry",  "key":{"id":"tr-9f2"},"op":"c","set":{"account":"B-7","cents":10000}}]');
