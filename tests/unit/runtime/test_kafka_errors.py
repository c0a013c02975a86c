"""The mapping of Kafka's errors: which are retryable."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.errors import InvalidArgument, Unavailable
from runtime.messaging.errors import refusal, translated, unavailable


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, InvalidArgument, "RECORD_REFUSED"),
        (KafkaError.INVALID_RECORD, InvalidArgument, "RECORD_REFUSED"),
        (KafkaError.INVALID_MSG, InvalidArgument, "RECORD_REFUSED"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, Unavailable, "TOPIC_UNAVAILABLE"),
        (KafkaError._UNKNOWN_TOPIC, Unavailable, "TOPIC_UNAVAILABLE"),
        (KafkaError._UNKNOWN_PARTITION, Unavailable, "TOPIC_UNAVAILABLE"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Unavailable, "TOPIC_UNAVAILABLE"),
        (KafkaError.TOPIC_EXCEPTION, Unavailable, "TOPIC_UNAVAILABLE"),
        (KafkaError._MSG_TIMED_OUT, Unavailable, "KAFKA_UNAVAILABLE"),
        (KafkaError.NOT_ENOUGH_REPLICAS, Unavailable, "KAFKA_UNAVAILABLE"),
    ],
)
def test_only_permanent_errors_are_invalid_argument(code, kind, reason):
    error = refusal("t", KafkaError(code))
    assert (type(error), error.reason, error.metadata["topic"]) == (kind, reason, "t")
    assert (error.retry_after_s is not None) is (kind is Unavailable)
    assert translated("t", KafkaException(KafkaError(code))).reason == reason


def test_a_full_queue_is_retryable():
    error = translated("t", BufferError())
    assert (type(error), error.reason) == (Unavailable, "KAFKA_UNAVAILABLE")
    assert error.retry_after_s


def test_an_invalid_record_is_rejected():
    error = translated("t", TypeError("no text"))
    assert (type(error), error.reason, error.metadata) == (InvalidArgument, "RECORD_REFUSED", {"topic": "t"})
    assert "no text" in error.message


def test_an_unreachable_kafka_is_unavailable():
    error = unavailable(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    assert (error.reason, "does not answer" in error.message) == ("KAFKA_UNAVAILABLE", True)
    assert error.retry_after_s
