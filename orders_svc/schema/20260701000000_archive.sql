-- migrate:up

-- A transaction that waits for a table lock blocks all later ones: fail instead of waiting longer.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '5s';

-- The archive: final orders that are old, and their versions, moved here from `orders` and `order_changes`. A column
-- that is added there is added here. One partition for each month, in UTC, in which orders were placed.
CREATE TABLE archived_orders (LIKE orders, PRIMARY KEY (order_id, create_time)) PARTITION BY RANGE (create_time);
CREATE TABLE archived_changes (
    LIKE order_changes,
    -- When the order was placed.
    create_time timestamptz NOT NULL,
    PRIMARY KEY (order_id, version, create_time)
) PARTITION BY RANGE (create_time);

-- Which orders are in the archive, and in which month, since no index reaches over all partitions. What is asked of
-- many orders, or with every new one, is answered from here alone; a month is dropped when nothing here is of it.
CREATE TABLE archive_index (
    order_id uuid PRIMARY KEY,
    customer text NOT NULL,
    state order_state NOT NULL,
    generation bigint NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX archive_index_of_customer ON archive_index (customer, state, create_time DESC, order_id DESC);
CREATE INDEX archive_index_by_age ON archive_index (create_time);

-- Units that archived orders own, by product, those of dropped months included: `sold_units` has them for good as well.
CREATE TABLE archived_units (
    product text PRIMARY KEY,
    units bigint NOT NULL
);

-- Orders serves in a role that changes no schema: it makes and drops months of the archive through these functions of
-- the owner, and nothing else. Have the partitions for orders that were placed then, or do nothing if they are there.
-- ATTACH, unlike PARTITION OF, does not keep readers of the archive waiting. No month is made in which no order can have
-- been placed: they would be many, and years of five digits would not sort as they are named.
CREATE FUNCTION make_archive_month(placed timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '2s' AS $$
DECLARE
    begins timestamptz := date_trunc('month', placed);
    parent text;
    partition text;
BEGIN
    IF placed BETWEEN '1970-01-01' AND now() + interval '1 month' IS NOT TRUE THEN
        RAISE datetime_field_overflow USING MESSAGE = format('no order was placed at %s', placed);
    END IF;
    FOREACH parent IN ARRAY ARRAY['archived_orders', 'archived_changes'] LOOP
        partition := parent || to_char(begins, '_YYYY_MM');
        IF to_regclass('public.' || partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, begins, begins + interval '1 month');
        END IF;
    END LOOP;
END $$;

-- Drop the oldest month that ended before then, over a year ago, and of which the index has nothing any more; return
-- it, or null if there is none. Readers of the whole archive wait behind a drop that waits: it gives up soon, and is tried
-- again.
CREATE FUNCTION drop_archive_month(before timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '100ms' AS $$
DECLARE
    month text;
BEGIN
    SELECT right(inhrelid::regclass::text, 7) INTO month FROM pg_inherits
    WHERE inhparent = 'archived_orders'::regclass ORDER BY 1 LIMIT 1;
    IF to_date(month, 'YYYY_MM') + interval '1 month' > least(before, now() - interval '1 year')
        OR EXISTS (SELECT FROM archive_index WHERE create_time < to_date(month, 'YYYY_MM') + interval '1 month')
    THEN
        RETURN NULL;
    END IF;
    IF month IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I, %I', 'archived_orders_' || month, 'archived_changes_' || month);
    END IF;
    RETURN month;
END $$;

REVOKE ALL ON FUNCTION make_archive_month, drop_archive_month FROM PUBLIC;

-- migrate:down

-- What is archived comes back; its units are counted as sold already.
ALTER TABLE orders DISABLE TRIGGER placed_units;
INSERT INTO orders SELECT * FROM archived_orders;
ALTER TABLE orders ENABLE TRIGGER placed_units;
INSERT INTO order_changes (order_id, version, snapshot, replica, trace_id)
SELECT order_id, version, snapshot, replica, trace_id FROM archived_changes;
DROP FUNCTION make_archive_month, drop_archive_month;
DROP TABLE archived_orders, archived_changes, archive_index, archived_units;
