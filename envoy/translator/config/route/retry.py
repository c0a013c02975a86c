"""
VirtualService `retries` -> Envoy's RetryPolicy (istio: networking/core/route/retry/retry.go).
"""

from http import HTTPStatus

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

from translator.config.protoconv import duration, packed, uint32
from translator.model.problems import BlockError
from translator.model.values import Block

DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
DEFAULT_ATTEMPTS = 2
HOST_SELECTION_ATTEMPTS = 5
PRIORITY_UPDATE_FREQUENCY = 2
RETRY_ON = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
STATUS_CODES = frozenset(status.value for status in HTTPStatus)


def retry_policy(block: Block | None, *, consistent_hash: bool) -> route.RetryPolicy | None:
    """
    Return the retry policy of a route: Istio's default for an absent block, None for zero attempts.
    """
    if block is None:
        block = {"attempts": DEFAULT_ATTEMPTS}
    if block.get("attempts", 0) <= 0:
        return None
    conditions, codes = retry_conditions(block.get("retryOn") or DEFAULT_RETRY_ON)
    policy = route.RetryPolicy(
        retry_on=conditions,
        retriable_status_codes=codes,
        num_retries=uint32(block["attempts"]),
        host_selection_retry_max_attempts=HOST_SELECTION_ATTEMPTS,
    )
    # With a consistent hash the host must not change, unless the block says so.
    if block.get("retryIgnorePreviousHosts", not consistent_hash):
        policy.retry_host_predicate.append(_previous_hosts())
    if block.get("retryRemoteLocalities"):
        policy.retry_priority.CopyFrom(_previous_priorities())
    if "perTryTimeout" in block:
        policy.per_try_timeout.CopyFrom(duration(block["perTryTimeout"]))
    if "backoff" in block:
        policy.retry_back_off.base_interval.CopyFrom(duration(block["backoff"]))
    return policy


def retry_conditions(text: str) -> tuple[str, list[int]]:
    """
    Return Envoy's conditions and the status codes that Istio allows among them.
    """
    words: list[str] = []
    codes: list[int] = []
    for part in text.split(","):
        if part.isdecimal() and int(part) in STATUS_CODES:
            codes.append(int(part))
        elif part in RETRY_ON:
            words.append(part)
        else:
            raise BlockError(
                "retryOn",
                f"{part!r} is not a retry condition; known are {', '.join(sorted(RETRY_ON))} and HTTP status codes",
            )
    if codes and "retriable-status-codes" not in words:
        words.append("retriable-status-codes")
    return ",".join(words), codes


def _previous_hosts() -> route.RetryPolicy.RetryHostPredicate:
    return route.RetryPolicy.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
    )


def _previous_priorities() -> route.RetryPolicy.RetryPriority:
    config = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=PRIORITY_UPDATE_FREQUENCY)
    return route.RetryPolicy.RetryPriority(
        name="envoy.retry_priorities.previous_priorities", typed_config=packed(config)
    )
