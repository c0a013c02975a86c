"""
Every statement of the service, except those of the outbox, which are in the runtime.

Only constants of this module are formatted into statements; values are parameters.
"""

# ruff: noqa: S608 - only text of this module is formatted into these statements

from __future__ import annotations

from orders_svc.statement import Statement
from runtime.messaging import outbox

FENCE = 0x6F72646572
RECONCILER = 0x7265636F
ARCHIVER = 0x61726368
# The channel of notifications of changed orders.
CHANGES = "order_changes"
KEYS_KEPT_DAYS = 7
# The most by which the clocks of PostgreSQL and of Redis, which ends leases, may differ.
CLOCKS_DIFFER = "interval '2 s'"

COLUMNS = """order_id, customer, state::text AS state, state_reason, lines, currency, total,
    generation, version, create_time, update_time"""
LOCK_FENCE_SHARED = f"SELECT pg_advisory_xact_lock_shared({FENCE})"
# Rows whose hold is no longer valid, or whose request id has a response, are left out. `pass_fence` takes the fence's
# lock, and reads the generation and the clock after that: inventory releases an expired hold only after it has waited
# for that lock.
PLACE = Statement(f"""
WITH input AS (
    SELECT * FROM unnest(
        :order_id::uuid[], :customer::text[], :request_id::text[], :fingerprint::bytea[], :state::text[],
        :state_reason::text[], :lines::jsonb[], :currency::text[], :total::numeric[], :generation::bigint[],
        :create_time::timestamptz[], :snapshot::bytea[], :lease::timestamptz[], :trace_id::bytea[]
    ) AS t (order_id, customer, request_id, fingerprint, state,
            state_reason, lines, currency, total, generation,
            create_time, snapshot, lease, trace_id)
), fence AS MATERIALIZED (
    SELECT generation, passed_at FROM pass_fence({FENCE})
), unfenced AS (
    SELECT input.* FROM input, fence
    WHERE input.state <> 'CONFIRMED' OR (
        input.generation >= fence.generation AND coalesce(lease, 'infinity') > fence.passed_at + {CLOCKS_DIFFER})
    ORDER BY customer, request_id
), fresh AS (
    INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, create_time, http_code)
    SELECT customer, request_id, fingerprint, order_id, 1, create_time,
           -- Read by replicas of the version before alone, which may serve the repeat; it goes with the column.
           CASE state WHEN 'PENDING' THEN 202 ELSE 201 END
    FROM unfenced
    ON CONFLICT DO NOTHING RETURNING order_id
), placed AS (
    INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation,
                        version, create_time, update_time)
    SELECT order_id, customer, state::order_state, state_reason, lines, currency, total, generation,
           1, create_time, create_time FROM unfenced JOIN fresh USING (order_id)
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot, trace_id, replica)
    SELECT order_id, 1, snapshot, trace_id, :replica::text FROM unfenced JOIN fresh USING (order_id)
), queued AS (
    {outbox.INSERT}
    SELECT shard, topic, key, value, headers
    FROM unnest(:event_of::uuid[], :shard::smallint[], :topic::text[], :key::bytea[], :value::bytea[],
                :headers::jsonb[])
        AS q (order_id, shard, topic, key, value, headers) JOIN fresh USING (order_id)
)
SELECT order_id FROM fresh
""")
SAVE = Statement(f"""
WITH moved AS (
    UPDATE orders SET state = :state::text::order_state, state_reason = :state_reason, lines = :lines::jsonb,
        currency = :currency, total = :total::numeric, generation = :generation, version = :version,
        update_time = :update_time
    WHERE order_id = :order_id AND version = :version_before
      AND (:state <> 'CONFIRMED'
           OR (:generation >= (SELECT generation FROM stock_generation)
               AND coalesce(:lease::timestamptz, 'infinity') > clock_timestamp() + {CLOCKS_DIFFER}))
      AND (state <> 'CONFIRMED' OR :state <> 'CANCELLED'
           OR :generation = (SELECT generation FROM stock_generation))
    RETURNING order_id
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot, trace_id, replica)
    SELECT order_id, :version, :snapshot, :trace_id::bytea, :replica::text FROM moved
), remembered AS (
    INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, create_time)
    SELECT :customer::text, :request_id::text, :fingerprint::bytea, order_id, :version, :update_time
    FROM moved WHERE :customer::text IS NOT NULL
), queued AS (
    {outbox.INSERT}
    SELECT shard, topic, key, value, headers
    FROM moved, unnest(:shard::smallint[], :topic::text[], :key::bytea[], :value::bytea[], :headers::jsonb[])
        AS q (shard, topic, key, value, headers)
)
SELECT count(*) FROM moved
""")
# A pruned key is replaced by the order's first version, whose id follows from the request. An order that is not there
# may be in the archive: of that the row has no snapshot, but when it was placed. A new one's row has neither.
FIND = Statement("""
SELECT asked.number, found.fingerprint, change.snapshot, coalesce(found.order_id, asked.order_id) AS order_id,
    coalesce(found.version, 1) AS version, CASE WHEN change.order_id IS NULL THEN (
        SELECT create_time FROM archive_index WHERE order_id = coalesce(found.order_id, asked.order_id)
    ) END AS create_time
FROM unnest(:customer::text[], :request_id::text[], :order_id::uuid[])
    WITH ORDINALITY AS asked (customer, request_id, order_id, number)
LEFT JOIN idempotency_keys AS found USING (customer, request_id)
LEFT JOIN order_changes AS change ON change.order_id = coalesce(found.order_id, asked.order_id)
    AND change.version = coalesce(found.version, 1)
""")
GET = f"SELECT {COLUMNS} FROM orders WHERE order_id = $1"
GENERATION = "SELECT generation FROM stock_generation"
# One short index scan per state and table, whatever the number of orders.
LIST = """
SELECT page.* FROM unnest($1::text[]) AS wanted (state) CROSS JOIN LATERAL ({pages}) AS page
ORDER BY create_time DESC, order_id DESC LIMIT $4
"""
PAGE = """
SELECT {columns} FROM {table} AS listed
WHERE listed.state = wanted.state::order_state AND {owner} (create_time, order_id) < ($2, $3)
ORDER BY create_time DESC, order_id DESC LIMIT $4
"""
OWN = "customer = $5 AND"
# Of an archived order the row has no version: the rest of it is in its month.
PLACE_COLUMNS = """order_id, customer, state::text AS state, NULL AS state_reason, NULL AS lines, NULL AS currency,
    NULL AS total, NULL AS generation, NULL AS version, create_time, NULL AS update_time"""
LIST_ALL = LIST.format(pages=PAGE.format(columns=COLUMNS, table="orders", owner=""))
LIST_OF_CUSTOMER = LIST.format(
    pages=f"({PAGE.format(columns=COLUMNS, table='orders', owner=OWN)}) UNION ALL "
    f"({PAGE.format(columns=PLACE_COLUMNS, table='archive_index', owner=OWN)})"
)
HISTORY = """
SELECT change.order_id, change.version, change.snapshot
FROM unnest($1::uuid[], $2::bigint[]) AS asked (order_id, version)
JOIN order_changes AS change ON change.order_id = asked.order_id AND change.version >= asked.version
ORDER BY change.order_id, change.version
"""
# Keys have no index by order, but one by time.
ANSWERS = """
SELECT request_id, version, create_time FROM idempotency_keys
WHERE create_time = ANY($2::timestamptz[]) AND order_id = $1
"""
UNPUBLISHED = "SELECT topic, create_time, refused FROM outbox WHERE shard = $1 AND key = $2 ORDER BY id LIMIT 100"
PRUNE_KEYS = f"""
DELETE FROM idempotency_keys WHERE ctid IN (
    SELECT ctid FROM idempotency_keys WHERE create_time < now() - interval '{KEYS_KEPT_DAYS} days'
    ORDER BY create_time LIMIT $1 FOR UPDATE SKIP LOCKED)
"""
OLDEST_KEY = """
SELECT coalesce(extract(epoch FROM now() - min(create_time)), 0)::float8 AS oldest_s FROM idempotency_keys
"""
LOCK_FENCE = f"SELECT pg_advisory_xact_lock({FENCE})"
START_GENERATION = """
UPDATE stock_generation SET generation = greatest(generation, $1::bigint) + 1 RETURNING generation
"""
SOLD = "SELECT product, sum(units)::bigint AS units FROM sold_units GROUP BY product HAVING sum(units) <> 0"
OWNERS = """
SELECT order_id FROM orders
WHERE order_id = ANY($1::uuid[]) AND state IN ('CONFIRMED', 'FULFILLED') AND generation >= $2
UNION ALL
SELECT order_id FROM archive_index WHERE order_id = ANY($1::uuid[]) AND state = 'FULFILLED' AND generation >= $2
"""
# A customer's orders are few index entries; request ids are found by the key that begins with the customer.
STORED_OF_CUSTOMER = """
SELECT count(*) FILTER (WHERE state IN ('PENDING', 'CONFIRMED')) AS open,
    count(*) FILTER (WHERE state NOT IN ('PENDING', 'CONFIRMED'))
        + (SELECT count(*) FROM archive_index WHERE customer = $1) AS final,
    (SELECT count(*) FROM idempotency_keys WHERE customer = $1) AS requests
FROM orders WHERE customer = $1
"""
OPEN_OF_CUSTOMER = "SELECT count(*) FROM orders WHERE customer = $1 AND state IN ('PENDING', 'CONFIRMED')"
CUSTOMERS_OF = """
SELECT DISTINCT ON (customer) customer, order_id FROM (
    SELECT customer, order_id FROM orders WHERE order_id = ANY($1::uuid[])
    UNION ALL SELECT customer, order_id FROM archive_index WHERE order_id = ANY($1::uuid[])
) AS placed WHERE customer <> $2 ORDER BY customer, order_id
"""
VERSIONS_OF = """
SELECT order_id, version, snapshot, replica, trace_id FROM order_changes
WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, version
"""
REQUESTS_OF_CUSTOMER = """
SELECT request_id, order_id, version, create_time FROM idempotency_keys
WHERE customer = $1 AND request_id > $2 ORDER BY request_id LIMIT $3
"""
# A final order never changes, so only another erasure can have it locked.
ERASABLE = f"""
SELECT {COLUMNS} FROM orders
WHERE customer = $1 AND state IN ('REJECTED', 'CANCELLED', 'FULFILLED') LIMIT $2 FOR UPDATE SKIP LOCKED
"""
# The outbox has no index by key, which every order would pay for: it is read as a whole, so only while it is short.
WAITING_AT_MOST = "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS waiting"
WAITING_OF = "SELECT id, topic, value FROM outbox WHERE key = ANY($1::bytea[])"
ERASING = """
WITH given AS (
    UPDATE {orders} SET customer = :nobody WHERE order_id = ANY(:order_id::uuid[]) {in_months} RETURNING order_id
), rewritten AS (
    UPDATE {changes} AS change SET snapshot = new.snapshot
    FROM unnest(:change_of::uuid[], :version::bigint[], :snapshot::bytea[]) AS new (order_id, version, snapshot)
    WHERE change.order_id = new.order_id AND change.version = new.version {in_months}
), waiting AS (
    UPDATE outbox SET value = new.value
    FROM unnest(:row::bigint[], :new_value::bytea[]) AS new (id, value) WHERE outbox.id = new.id
){also}
SELECT count(*) FROM given
"""
ERASE = Statement(ERASING.format(orders="orders", changes="order_changes", in_months="", also=""))
ERASE_REQUESTS = """
DELETE FROM idempotency_keys WHERE ctid IN (
    SELECT ctid FROM idempotency_keys WHERE customer = $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
# Moved are the oldest orders that can no longer change, a batch in a transaction, by one replica at a time; what is
# locked, such as by an erasure, stays for the next. Age counts from placing, by which the months are made as well.
ALONE = "SELECT pg_try_advisory_xact_lock($1)"
FINAL = "unnest('{REJECTED, CANCELLED, FULFILLED}'::order_state[]) AS final (state)"
TO_ARCHIVE = f"""
SELECT order_id, create_time FROM orders WHERE order_id IN (
    SELECT old.order_id FROM {FINAL} CROSS JOIN LATERAL (
        SELECT order_id, create_time FROM orders
        WHERE orders.state = final.state AND create_time < now() - $1::interval ORDER BY create_time, order_id LIMIT $2
    ) AS old ORDER BY old.create_time, old.order_id LIMIT $2
) FOR UPDATE SKIP LOCKED
"""
MAKE_MONTHS = """
SELECT make_archive_month(month) FROM (
    SELECT DISTINCT date_trunc('month', placed, 'UTC') AS month FROM unnest($1::timestamptz[]) AS placed) AS months
"""
ARCHIVE = """
WITH moved AS (
    DELETE FROM orders WHERE order_id = ANY($1::uuid[]) RETURNING *
), versions AS (
    DELETE FROM order_changes WHERE order_id = ANY($1::uuid[]) RETURNING *
), archived AS (
    INSERT INTO archived_orders (order_id, customer, state, state_reason, lines, currency, total, generation,
                                 version, create_time, update_time)
    SELECT order_id, customer, state, state_reason, lines, currency, total, generation,
           version, create_time, update_time FROM moved
), recorded AS (
    INSERT INTO archived_changes (order_id, version, snapshot, replica, trace_id, create_time)
    SELECT order_id, versions.version, snapshot, replica, trace_id, create_time
    FROM versions JOIN moved USING (order_id)
), indexed AS (
    INSERT INTO archive_index (order_id, customer, state, generation, create_time)
    SELECT order_id, customer, state, generation, create_time FROM moved
), counted AS (
    INSERT INTO archived_units AS owned (product, units)
    SELECT line.product, sum(line.quantity)
    FROM moved, jsonb_to_recordset(moved.lines) AS line (product text, quantity bigint)
    WHERE moved.state = 'FULFILLED' GROUP BY line.product
    ON CONFLICT (product) DO UPDATE SET units = owned.units + excluded.units
)
SELECT count(*) FROM moved
"""
OVERDUE = f"""
SELECT coalesce(greatest(extract(epoch FROM now() - $1::interval - min(oldest.create_time)), 0), 0)::float8 AS overdue_s
FROM {FINAL} CROSS JOIN LATERAL (
    SELECT create_time FROM orders WHERE orders.state = final.state ORDER BY create_time LIMIT 1) AS oldest
"""
# Only whole months are dropped, and those only once the index has nothing of them.
FORGET = """
DELETE FROM archive_index WHERE ctid IN (
    SELECT ctid FROM archive_index WHERE create_time < date_trunc('month', now() - $1::interval, 'UTC')
    ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
DROP_MONTH = "SELECT drop_archive_month(now() - $1::interval)"
# What is archived is looked for in two steps: when it was placed, by the index; then, by that, in its months alone. A
# statement that joined the two would lock every partition. The time is a range: with a list of ids and one of times,
# PostgreSQL looks for each id at each time, or reads whole months if that is cheaper.
ARCHIVED_AT = "SELECT order_id, create_time FROM archive_index WHERE order_id = ANY($1::uuid[])"
ARCHIVED = f"""
SELECT {COLUMNS} FROM archived_orders WHERE order_id = ANY($1::uuid[]) AND create_time BETWEEN $2 AND $3
"""
ARCHIVED_VERSIONS = """
SELECT order_id, version, snapshot, replica, trace_id FROM archived_changes
WHERE order_id = ANY($1::uuid[]) AND create_time BETWEEN $2 AND $3 ORDER BY order_id, version
"""
ERASABLE_ARCHIVED = """
SELECT order_id, create_time FROM archive_index WHERE customer = $1 LIMIT $2 FOR UPDATE SKIP LOCKED
"""
ERASE_ARCHIVED = Statement(
    ERASING.format(
        orders="archived_orders",
        changes="archived_changes",
        in_months="AND create_time BETWEEN :first_time AND :last_time",
        also=""", hidden AS (
    UPDATE archive_index SET customer = :nobody WHERE order_id = ANY(:order_id::uuid[])
)""",
    )
)
PROBE = "SELECT 1"
NOTIFY = "SELECT pg_notify($1, '')"
TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = '{seconds}s'"
PENDING_NOW = """
SELECT count(*) AS orders, coalesce(extract(epoch FROM clock_timestamp() - min(create_time)), 0) AS oldest_s
FROM orders WHERE state = 'PENDING'
"""
STATES = "SELECT state::text AS state, count(*) AS orders FROM orders GROUP BY state"
STUCK = f"SELECT {COLUMNS} FROM orders WHERE state = 'PENDING' AND update_time < $1 ORDER BY create_time LIMIT $2"
PENDING_AFTER = f"""
SELECT {COLUMNS} FROM orders WHERE state = 'PENDING' AND order_id > $1 ORDER BY order_id LIMIT $2
"""
OF_IDS = f"SELECT {COLUMNS} FROM orders WHERE order_id = ANY($1::uuid[])"
UNSENT = """
SELECT id, topic, convert_from(key, 'UTF8') AS key, refused FROM outbox
WHERE refused IS NOT NULL OR create_time < $1 ORDER BY id LIMIT $2
"""
STILL_UNSENT = "SELECT id FROM outbox WHERE id = ANY($1::bigint[])"
MISCOUNTED = """
SELECT product, coalesce(counted.units, 0) AS counted, coalesce(owned.units, 0) AS owned
FROM (SELECT product, sum(units)::bigint AS units FROM sold_units GROUP BY product) AS counted
FULL JOIN (
    SELECT product, sum(units)::bigint AS units FROM (
        SELECT line.product, line.quantity AS units
        FROM orders, jsonb_to_recordset(orders.lines) AS line (product text, quantity bigint)
        WHERE state IN ('CONFIRMED', 'FULFILLED')
        UNION ALL SELECT product, units FROM archived_units
    ) AS each GROUP BY product
) AS owned USING (product)
WHERE coalesce(counted.units, 0) <> coalesce(owned.units, 0) ORDER BY product
"""
