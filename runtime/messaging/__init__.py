"""
Messages between services: Kafka records, their consumers and publishers, and the outbox.

Nothing outside of this package uses confluent_kafka's messages, so that its defects are handled in one place.
"""
