-- What the role `monitor` may do: read statistics, in a few sessions, briefly.
GRANT pg_monitor TO monitor;
ALTER ROLE monitor CONNECTION LIMIT 3;
ALTER ROLE monitor SET statement_timeout = '5s';
ALTER ROLE monitor SET default_transaction_read_only = on;
