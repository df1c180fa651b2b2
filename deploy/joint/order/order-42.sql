-- At the shop, in one transaction: the order, and what it asks of all three.
BEGIN;
INSERT INTO orders (id, state, total_cents) VALUES (42, 'asked', 3000);
INSERT INTO keepstep_joint (id, changes) VALUES ('order-42', '[
 {"service":"shop",     "type":"order",  "key":{"id":42},    "op":"u","set":{"state":"confirmed"},"if":{"state":"asked"}},
 {"service":"warehouse","type":"stock",  "key":{"sku":"A1"}, "op":"u","add":{"free":-3}},
 {"service":"billing",  "type":"account","key":{"id":7},     "op":"u","add":{"credit_cents":-3000}},
 {"service":"billing",  "type":"charge", "key":{"id":"42-1"},"op":"c","set":{"account":7,"cents":3000}}]');
COMMIT;
