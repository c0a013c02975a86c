"""The panels of the stores: PostgreSQL, Redis and Kafka, by their exporters and as the services see them."""

from __future__ import annotations

from tools.dashboards.panels import RATE, Board, Panel, quantiles, rate

STORES = Board(
    "shop-stores",
    "Shop: the stores",
    {
        "PostgreSQL": [
            Panel("Primaries", {"primaries": "sum(patroni_primary)"}),
            Panel("Members running", {"{{pod}}": "patroni_postgres_running"}),
            Panel("Replicas streaming", {"{{pod}}": "patroni_postgres_streaming"}),
            Panel("Synchronous replicas", {"{{pod}}": "patroni_sync_standby"}),
            Panel("Age of the last backup", {"backup": "time() - max(backup_last_success_timestamp_seconds)"}, "s"),
            Panel("WAL is not archived", {"failing": "max(backup_wal_failing)"}),
            Panel("Replication lag", {"{{replica}}": "max by (replica) (pg_replica_lag_bytes)"}, "bytes"),
            Panel("Replication lag in time", {"{{replica}}": "max by (replica) (pg_replica_lag_seconds)"}, "s"),
            Panel("WAL kept for replicas", {"{{slot}}": "max by (slot) (pg_slot_retained_bytes)"}, "bytes"),
            Panel("Size of pg_wal", {"{{pod}}": "pg_wal_bytes"}, "bytes"),
            Panel(
                "WAL segments archived",
                {
                    "archived": f"sum(rate(pg_archiver_archived_total[{RATE}]))",
                    "failed": f"sum(rate(pg_archiver_failed_total[{RATE}]))",
                },
                "ops",
            ),
            Panel("Connections", {"{{pod}}": "pg_connections_used", "{{pod}} allowed": "pg_connections_allowed"}),
            Panel("Longest transaction", {"{{pod}}": "pg_connections_longest_transaction_seconds"}, "s"),
            Panel("Locks held", {"{{mode}}": "sum by (mode) (pg_locks_granted)"}),
            Panel("Locks waited for", {"{{mode}}": "sum by (mode) (pg_locks_waiting)"}),
            Panel("Deadlocks", {"{{pod}}": f"rate(pg_database_deadlocks_total[{RATE}])"}, "ops"),
        ],
        "PostgreSQL's tables": [
            Panel("Size of the database", {"{{pod}}": "pg_database_bytes"}, "bytes"),
            Panel("Size of tables", {"{{table}}": "max by (table) (pg_table_bytes)"}, "bytes", "With their indexes."),
            Panel("Rows", {"{{table}}": "max by (table) (pg_table_rows)"}, about="As of the last ANALYZE or VACUUM."),
            Panel("Dead rows", {"{{table}}": "max by (table) (pg_table_dead_rows)"}, about="What VACUUM removes."),
            Panel("VACUUMs", rate("pg_table_vacuums_total", "table"), "ops"),
            Panel("Age of the oldest idempotency key", {"oldest": "max(orders_oldest_key_seconds)"}, "s"),
            Panel("Orders archived", {"orders": f"sum(rate(orders_archived_total[{RATE}]))"}, "ops"),
            Panel("The oldest order is due for the archive", {"since": "max(orders_archive_overdue_seconds)"}, "s"),
            Panel(
                "Age of the oldest transaction id",
                {"{{pod}}": "pg_database_oldest_transaction_id_age"},
                about="In transactions. PostgreSQL stops at two billion; VACUUM freezes ids from 200 million on.",
            ),
        ],
        "Redis": [
            Panel("Answers", {"{{pod}}": "inventory_redis_up"}),
            Panel("Memory used", {"of the limit": "max(inventory_redis_memory_used_ratio)"}, "percentunit"),
            Panel("Stock events not published yet", {"events": "max(inventory_stock_events_backlog)"}),
            Panel("Memory", {"used": "redis_memory_used_bytes", "limit": "redis_memory_max_bytes"}, "bytes"),
            Panel("Clients", {"{{pod}}": "redis_connected_clients"}),
            Panel("Clients refused", rate("redis_rejected_connections_total", "pod"), "ops"),
            Panel("Append-only file", {"{{pod}}": "redis_aof_current_size_bytes"}, "bytes"),
            Panel(
                "Append-only file: last write and rewrite succeeded",
                {"write": "redis_aof_last_write_status", "rewrite": "redis_aof_last_bgrewrite_status"},
            ),
            Panel("Fsyncs delayed", rate("redis_aof_delayed_fsync", "pod"), "ops"),
            Panel("Stock generation", {"generation": "max(inventory_generation)"}),
        ],
        "Kafka": [
            Panel("Messages consumed", rate("consumed_messages_total", "group"), "ops"),
            Panel("Rows published", rate("outbox_published_total", "topic"), "ops"),
            Panel("Time from delivery to processing", quantiles("consumed_batch_seconds", "group"), "s"),
            Panel("Consumer restarts", rate("consumer_restarts_total", "group"), "ops"),
            Panel("Topics made again", {"{{group}}": "sum by (group) (consumer_topics_recreated_total)"}),
            Panel("Partitions under-replicated", {"{{pod}}": "kafka_under_replicated_partitions"}),
            Panel("Partitions below min.insync.replicas", {"{{pod}}": "kafka_under_min_isr_partitions"}),
            Panel("Partitions offline", {"partitions": "max(kafka_offline_partitions)"}),
            Panel("p99 of requests", {"{{pod}} {{request}}": "kafka_request_p99_milliseconds"}, "ms"),
            Panel("Requests", rate("kafka_requests_total", "request"), "reqps"),
            Panel("Size of logs", {"{{topic}}": "sum by (topic) (kafka_log_bytes)"}, "bytes", "All copies."),
        ],
        "Bookkeeping": [
            Panel("Products whose units do not add up", {"products": "max(inventory_unbalanced_products)"}),
            Panel("Units oversold", {"units": "max(inventory_short_units)"}),
            Panel("Products out of stock", {"products": "max(inventory_low_stock_products)"}),
        ],
    },
)
