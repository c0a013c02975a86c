"""The common parts of both services: settings, server, errors, Kafka, PostgreSQL, telemetry."""
