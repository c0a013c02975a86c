-- migrate:up

-- A transaction that waits for a table lock blocks all later ones: fail instead of waiting longer.
SET LOCAL lock_timeout = '2s';

-- Units that confirmed and fulfilled orders own, by product; kept by the triggers below and nothing else, so
-- that what was sold is known without a look at every order. Several stripes a product, so that transactions
-- at the same time rarely wait for each other.
CREATE TABLE sold_units (
    product text NOT NULL,
    stripe smallint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (product, stripe)
) WITH (
    -- A few rows that every order updates: room in the page for the new version, and cleaned up early.
    fillfactor = 10,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);

-- Rows are locked in the order of their products, so that two transactions cannot wait for each other.
CREATE FUNCTION count_placed_units() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sold_units AS sold (product, stripe, units)
    SELECT line.product, pg_backend_pid() % 16, sum(line.quantity)
    FROM placed, jsonb_to_recordset(placed.lines) AS line (product text, quantity bigint)
    WHERE placed.state IN ('CONFIRMED', 'FULFILLED')
    GROUP BY line.product ORDER BY line.product
    ON CONFLICT (product, stripe) DO UPDATE SET units = sold.units + excluded.units;
    RETURN NULL;
END $$;

CREATE FUNCTION count_moved_units() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sold_units AS sold (product, stripe, units)
    SELECT line.product, pg_backend_pid() % 16, sum(moved.sign * line.quantity)
    FROM (SELECT 1 AS sign, state, lines FROM after_move UNION ALL SELECT -1, state, lines FROM before_move) AS moved,
        jsonb_to_recordset(moved.lines) AS line (product text, quantity bigint)
    WHERE moved.state IN ('CONFIRMED', 'FULFILLED')
    GROUP BY line.product HAVING sum(moved.sign * line.quantity) <> 0 ORDER BY line.product
    ON CONFLICT (product, stripe) DO UPDATE SET units = sold.units + excluded.units;
    RETURN NULL;
END $$;

-- Creating a trigger locks the table against writers until this is committed: the sums below miss nothing.
CREATE TRIGGER placed_units AFTER INSERT ON orders
    REFERENCING NEW TABLE AS placed FOR EACH STATEMENT EXECUTE FUNCTION count_placed_units();
CREATE TRIGGER moved_units AFTER UPDATE ON orders
    REFERENCING OLD TABLE AS before_move NEW TABLE AS after_move
    FOR EACH STATEMENT EXECUTE FUNCTION count_moved_units();

INSERT INTO sold_units (product, stripe, units)
SELECT line.product, 0, sum(line.quantity)
FROM orders, jsonb_to_recordset(orders.lines) AS line (product text, quantity bigint)
WHERE orders.state IN ('CONFIRMED', 'FULFILLED')
GROUP BY line.product;

DROP TABLE fulfilled_units;
ALTER TABLE stock_generation DROP COLUMN request_id;

-- migrate:down

ALTER TABLE stock_generation ADD COLUMN request_id text NOT NULL DEFAULT '';
CREATE TABLE fulfilled_units (
    product text NOT NULL,
    stripe smallint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (product, stripe)
);
DROP TRIGGER placed_units ON orders;
DROP TRIGGER moved_units ON orders;
DROP FUNCTION count_placed_units, count_moved_units;
INSERT INTO fulfilled_units (product, stripe, units)
SELECT line.product, 0, sum(line.quantity)
FROM orders, jsonb_to_recordset(orders.lines) AS line (product text, quantity bigint)
WHERE orders.state = 'FULFILLED'
GROUP BY line.product;
DROP TABLE sold_units;
