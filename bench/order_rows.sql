-- One order's rows, as orders writes them for one that is confirmed at once; bytes as long as a small order's.
\set shard random(0, 3)
WITH fresh AS (
    INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, create_time, http_code)
    SELECT 'pgbench', gen_random_uuid()::text, decode(repeat('61', 32), 'hex'), gen_random_uuid(), 1, now(), 201
    RETURNING order_id
), placed AS (
    INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation,
                        version, create_time, update_time)
    SELECT order_id, 'pgbench', 'CONFIRMED', '',
           '[{"product": "products/espresso-cup", "quantity": 1, "currency": "EUR", "price": "12990000000"}]',
           'EUR', 12.99, 1, 1, now(), now() FROM fresh
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot, trace_id, replica)
    SELECT order_id, 1, decode(repeat('61', 150), 'hex'), decode(repeat('61', 16), 'hex'), 'orders-0' FROM fresh
)
INSERT INTO outbox (shard, topic, key, value, headers)
SELECT :shard, 'order_events', uuid_send(order_id), decode(repeat('61', 250), 'hex'), '{}' FROM fresh;
