"""The mapping of Kafka's errors."""

from __future__ import annotations

import structlog
import tenacity
from confluent_kafka import KafkaError, KafkaException

from runtime.errors import InvalidArgument, Unavailable

# Errors that the broker returns whenever the record is sent: a retry never helps.
_REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}
# Errors of the topic; records for others may be accepted.
_NO_TOPIC = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
}
TOPIC_UNAVAILABLE = "TOPIC_UNAVAILABLE"
log = structlog.get_logger()


def retrying(within_s: float) -> tenacity.Retrying:
    """
    Return what repeats a request to Kafka for *within_s*, then raises its last error.

    A partition may have no leader for a moment, when its topic is new or a broker left.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(KafkaException),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_after_delay(within_s),
        reraise=True,
    )


def unavailable(error: KafkaException) -> Unavailable:
    """
    Return the error for callers while Kafka does not respond.
    """
    # The client library's text is for the log; it has addresses and means nothing to callers.
    log.info("kafka_does_not_answer", error=str(error))
    return Unavailable("Kafka does not answer", reason="KAFKA_UNAVAILABLE", retry_after_s=1)


def translated(topic: str, error: Exception) -> Unavailable | InvalidArgument:
    """
    Return the error of a record for *topic* that could not even be queued.
    """
    if isinstance(error, BufferError):
        return Unavailable("the queue to Kafka is full", reason="KAFKA_UNAVAILABLE", retry_after_s=1)
    if isinstance(error, KafkaException):
        return refusal(topic, error.args[0])
    # An invalid record, for example with a header that is not text.
    return InvalidArgument(f"no record for {topic}: {error}", reason="RECORD_REFUSED", metadata={"topic": topic})


def refusal(topic: str, error: KafkaError) -> Unavailable | InvalidArgument:
    """
    Return why Kafka did not accept a record for *topic*; `InvalidArgument` if it never will.
    """
    metadata = {"topic": topic, "error": error.name()}
    message = f"Kafka did not take a record for {topic}: {error.str()}"
    if error.code() in _REFUSED:
        return InvalidArgument(message, reason="RECORD_REFUSED", metadata=metadata)
    reason = TOPIC_UNAVAILABLE if error.code() in _NO_TOPIC else "KAFKA_UNAVAILABLE"
    return Unavailable(message, reason=reason, metadata=metadata, retry_after_s=1)
