"""
The statements that `store.py` sends.

Only the constants here are put into statements; values go as parameters.
"""

# ruff: noqa: S608 - what is put into these statements is written below

from __future__ import annotations

from runtime.messaging import outbox

FENCE = 0x6F72646572
KEYS_KEPT_DAYS = 7

COLUMNS = """order_id, customer, state::text AS state, state_reason, lines, currency, total,
    generation, version, create_time, update_time"""
LOCK_FENCE_SHARED = f"SELECT pg_advisory_xact_lock_shared({FENCE})"
# Rows whose hold no longer counts, or whose request id has an answer, are left out. `pass_fence` takes the fence's
# lock, and reads the generation and the clock after that: inventory gives an expired hold's stock back only after it
# has waited for that lock. The two seconds are for what its clock and ours may differ.
PLACE = f"""
WITH input AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::smallint[], $6::text[], $7::text[], $8::jsonb[],
        $9::text[], $10::numeric[], $11::bigint[], $12::timestamptz[], $13::bytea[], $14::timestamptz[]
    ) AS t (order_id, customer, request_id, fingerprint, http_code, state, state_reason, lines,
            currency, total, generation, create_time, snapshot, lease)
), fence AS MATERIALIZED (
    SELECT generation, passed_at FROM pass_fence({FENCE})
), unfenced AS (
    SELECT input.* FROM input, fence
    WHERE input.state <> 'CONFIRMED' OR (
        input.generation >= fence.generation AND coalesce(lease, 'infinity') > fence.passed_at + interval '2 s')
    ORDER BY customer, request_id
), fresh AS (
    INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, http_code, create_time)
    SELECT customer, request_id, fingerprint, order_id, 1, http_code, create_time FROM unfenced
    ON CONFLICT DO NOTHING RETURNING order_id
), placed AS (
    INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation,
                        version, create_time, update_time)
    SELECT order_id, customer, state::order_state, state_reason, lines, currency, total, generation,
           1, create_time, create_time FROM unfenced JOIN fresh USING (order_id)
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot)
    SELECT order_id, 1, snapshot FROM unfenced JOIN fresh USING (order_id)
), queued AS (
    {outbox.INSERT}
    SELECT shard, topic, key, value, headers
    FROM unnest($15::uuid[], $16::smallint[], $17::text[], $18::bytea[], $19::bytea[], $20::jsonb[])
        AS q (order_id, shard, topic, key, value, headers) JOIN fresh USING (order_id)
)
SELECT order_id FROM fresh
"""
SAVE = f"""
WITH moved AS (
    UPDATE orders SET state = $3::text::order_state, state_reason = $4, lines = $5::jsonb, currency = $6,
        total = $7::numeric, generation = $8, version = $9, update_time = $10
    WHERE order_id = $1 AND version = $2
      AND ($3 <> 'CONFIRMED' OR ($8 >= (SELECT generation FROM stock_generation)
                                 AND coalesce($21::timestamptz, 'infinity') > clock_timestamp() + interval '2 s'))
      AND (state <> 'CONFIRMED' OR $3 <> 'CANCELLED' OR $8 = (SELECT generation FROM stock_generation))
    RETURNING order_id
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot) SELECT order_id, $9, $11 FROM moved
), remembered AS (
    INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, http_code, create_time)
    SELECT $12::text, $13::text, $14::bytea, order_id, $9, $15::smallint, $10 FROM moved WHERE $12::text IS NOT NULL
), queued AS (
    {outbox.INSERT}
    SELECT shard, topic, key, value, headers
    FROM moved, unnest($16::smallint[], $17::text[], $18::bytea[], $19::bytea[], $20::jsonb[])
        AS q (shard, topic, key, value, headers)
)
SELECT count(*) FROM moved
"""
# A pruned key is made up for by the order's first version, whose id follows from the request.
FIND = """
SELECT asked.number, found.fingerprint, found.http_code, change.snapshot
FROM unnest($1::text[], $2::text[], $3::uuid[]) WITH ORDINALITY AS asked (customer, request_id, order_id, number)
LEFT JOIN idempotency_keys AS found USING (customer, request_id)
JOIN order_changes AS change ON change.order_id = coalesce(found.order_id, asked.order_id)
    AND change.version = coalesce(found.version, 1)
"""
GET = f"SELECT {COLUMNS} FROM orders WHERE order_id = $1"
GENERATION = "SELECT generation FROM stock_generation"
# One short index scan a state, whatever the number of orders.
LIST = f"""
SELECT page.* FROM unnest($1::text[]) AS wanted (state) CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM orders
    WHERE orders.state = wanted.state::order_state AND {{owner}} (create_time, order_id) < ($2, $3)
    ORDER BY create_time DESC, order_id DESC LIMIT $4
) AS page ORDER BY create_time DESC, order_id DESC LIMIT $4
"""
LIST_ALL = LIST.format(owner="")
LIST_OF_CUSTOMER = LIST.format(owner="customer = $5 AND")
HISTORY = """
SELECT change.order_id, change.version, change.snapshot
FROM unnest($1::uuid[], $2::bigint[]) AS asked (order_id, version)
JOIN order_changes AS change ON change.order_id = asked.order_id AND change.version >= asked.version
ORDER BY change.order_id, change.version
"""
PRUNE_KEYS = f"""
DELETE FROM idempotency_keys WHERE ctid IN (
    SELECT ctid FROM idempotency_keys WHERE create_time < now() - interval '{KEYS_KEPT_DAYS} days'
    ORDER BY create_time LIMIT $1 FOR UPDATE SKIP LOCKED)
"""
