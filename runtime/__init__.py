"""What every service process starts with: settings, server, errors, Kafka, PostgreSQL, telemetry."""
