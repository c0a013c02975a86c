#!/bin/sh
# Run by Patroni once, on the first leader of a new cluster; $1 is a connection string.
# Makes the user and the database of orders, whose password is in ORDERS_PASSWORD.
set -eu
psql -X -v ON_ERROR_STOP=1 -v password="$ORDERS_PASSWORD" "$1" <<'SQL'
CREATE ROLE orders LOGIN PASSWORD :'password';
CREATE DATABASE orders OWNER orders;
SQL
