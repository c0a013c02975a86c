-- migrate:up

CREATE TYPE order_state AS ENUM ('PENDING', 'CONFIRMED', 'REJECTED', 'CANCELLED', 'FULFILLED');

-- An order as it is now. Its lines are read and written with it and never alone,
-- so they live in its row: [{"product", "quantity", "currency", "price"}], the price
-- in billionths and only once the stock is held.
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    customer text NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    state order_state NOT NULL,
    state_reason text NOT NULL,
    lines jsonb NOT NULL,
    currency text,
    total numeric(28, 9),
    -- The stock generation that its hold belongs to; 0 while it has none.
    generation bigint NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((currency IS NULL) = (total IS NULL)),
    CHECK (state NOT IN ('CONFIRMED', 'FULFILLED') OR total IS NOT NULL)
);
-- A page of all states is merged from one short scan a state, so two indexes serve every list.
CREATE INDEX orders_of_customer ON orders (customer, state, create_time DESC, order_id DESC);
CREATE INDEX orders_in_state ON orders (state, create_time DESC, order_id DESC);

-- Every version of every order as returned to clients (shop.orders.v1.Order).
CREATE TABLE order_changes (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    snapshot bytea NOT NULL,
    PRIMARY KEY (order_id, version)
);

-- Which request had which answer: the order at that version.
CREATE TABLE idempotency_keys (
    customer text NOT NULL,
    request_id text NOT NULL CHECK (length(request_id) BETWEEN 1 AND 128),
    fingerprint bytea NOT NULL,
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    http_code smallint NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (customer, request_id)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (create_time);

-- The stock generation; one row. Who confirms an order holds the fence's advisory
-- lock shared while comparing with it, who raises it holds the lock alone.
CREATE TABLE stock_generation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint NOT NULL,
    request_id text NOT NULL
);
INSERT INTO stock_generation (generation, request_id) VALUES (0, '');

-- Units that fulfilled orders took for good, by product. Several stripes a product,
-- so that orders fulfilled at the same time need not wait for each other.
CREATE TABLE fulfilled_units (
    product text NOT NULL,
    stripe smallint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (product, stripe)
);

-- What waits to be published; a row is deleted once Kafka has it.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard smallint NOT NULL,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    -- Why Kafka will never take it; such a row waits for an operator.
    refused text
);
CREATE INDEX outbox_waiting ON outbox (shard, id) WHERE refused IS NULL;
CREATE INDEX outbox_refused ON outbox (id) WHERE refused IS NOT NULL;
-- Rows live for milliseconds: clean up by count, not by the share of a table that is mostly empty.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- migrate:down

DROP TABLE outbox, fulfilled_units, stock_generation, idempotency_keys, order_changes, orders;
DROP TYPE order_state;
