-- migrate:up

-- A transaction that waits for this lock blocks all later ones: fail instead of waiting longer.
SET LOCAL lock_timeout = '2s';

-- Which HTTP status an answer has follows from the call and from the order, and is the API's alone. Replicas of the
-- version before, which run beside new ones for a while, still read and write the column: it goes once none is left.
ALTER TABLE idempotency_keys ALTER COLUMN http_code SET DEFAULT 200;

-- migrate:down

ALTER TABLE idempotency_keys ALTER COLUMN http_code DROP DEFAULT;
