-- migrate:up

-- A transaction that waits for this lock blocks all later ones: fail instead of waiting longer.
SET LOCAL lock_timeout = '2s';

-- Which replica made a change, and in which trace: unknown of what was there before.
ALTER TABLE order_changes ADD COLUMN replica text, ADD COLUMN trace_id bytea;

-- migrate:down

ALTER TABLE order_changes DROP COLUMN replica, DROP COLUMN trace_id;
