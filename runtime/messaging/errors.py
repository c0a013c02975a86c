"""Kafka's errors in our words."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from runtime.errors import InvalidArgument, Unavailable

# A record that the broker refuses whenever it is sent: repeating it would never help.
_REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}


def unavailable(error: KafkaException) -> Unavailable:
    """
    Return what callers are told while Kafka does not answer.
    """
    return Unavailable(f"Kafka does not answer: {error}", reason="KAFKA_UNAVAILABLE", retry_after_s=1)


def translated(topic: str, error: BufferError | KafkaException) -> Unavailable | InvalidArgument:
    """
    Return what a record for *topic* met that was not even queued.
    """
    if isinstance(error, BufferError):
        return Unavailable("the queue to Kafka is full", reason="KAFKA_UNAVAILABLE", retry_after_s=1)
    return refusal(topic, error.args[0])


def refusal(topic: str, error: KafkaError) -> Unavailable | InvalidArgument:
    """
    Return why Kafka did not take a record for *topic*; `InvalidArgument` if it never will.
    """
    metadata = {"topic": topic, "error": error.name()}
    message = f"Kafka did not take a record for {topic}: {error.str()}"
    if error.code() in _REFUSED:
        return InvalidArgument(message, reason="RECORD_REFUSED", metadata=metadata)
    return Unavailable(message, reason="KAFKA_UNAVAILABLE", metadata=metadata, retry_after_s=1)
