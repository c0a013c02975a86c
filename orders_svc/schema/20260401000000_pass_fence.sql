-- migrate:up

-- Take the fence's lock, shared, until the transaction ends; then read the generation and the clock. A function, so
-- that a statement can do this and all that follows from it in one go: each statement in here sees what is committed
-- when it begins, while a statement that takes the lock itself keeps the snapshot from before it waited.
CREATE FUNCTION pass_fence(fence bigint) RETURNS TABLE (generation bigint, passed_at timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(fence);
    RETURN QUERY SELECT current.generation, clock_timestamp() FROM stock_generation AS current;
END $$;

-- migrate:down

DROP FUNCTION pass_fence;
