"""
Messages between services: Kafka's records, what consumes and publishes them, and the outbox.

Nothing outside of this package touches confluent_kafka's messages, so what its calls
may do to a process is dealt with in one place.
"""
