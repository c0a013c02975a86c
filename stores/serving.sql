-- The role in which orders serves. It owns nothing: `orders_svc migrate`, which runs as the owner, grants it the rows.
DO $$ BEGIN CREATE ROLE orders_serving NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT orders_serving TO orders;
