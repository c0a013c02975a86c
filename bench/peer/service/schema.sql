CREATE TABLE IF NOT EXISTS orders (
    id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    state text NOT NULL,
    lines jsonb NOT NULL,
    total bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS orders_pending ON orders (created_at) WHERE state = 'PENDING';
