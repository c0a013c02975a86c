-- migrate:up

-- A subject may have 255 characters (OpenID Connect Core, section 2). What is there fits, so no row is looked at.
ALTER TABLE orders
    DROP CONSTRAINT orders_customer_check,
    ADD CONSTRAINT orders_customer_check CHECK (length(customer) BETWEEN 1 AND 255) NOT VALID;

-- migrate:down

ALTER TABLE orders
    DROP CONSTRAINT orders_customer_check,
    ADD CONSTRAINT orders_customer_check CHECK (length(customer) BETWEEN 1 AND 128) NOT VALID;
