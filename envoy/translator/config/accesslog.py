"""
The access log: one JSON line for each failed call.
"""

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2

from translator.config.protoconv import packed

LOWEST_SERVER_ERROR = 500
FIELDS = {
    "timestamp": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    # The query string may contain a secret, such as the code of a sign-in.
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "peer": "%DOWNSTREAM_PEER_URI_SAN%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
}
FAULTY_GRPC = (
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
)


def failures_log(workload: str) -> accesslog_pb2.AccessLog:
    """
    Return the access log of failed calls: by HTTP status, by gRPC status, or by Envoy's response flags.
    """
    fields = struct_pb2.Struct()
    fields.update({**FIELDS, "workload": workload})
    log = stream_pb2.StdoutAccessLog(
        log_format=substitution_format_string_pb2.SubstitutionFormatString(json_format=fields, omit_empty_values=True)
    )
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(log), filter=_failed())


def _failed() -> accesslog_pb2.AccessLogFilter:
    result = accesslog_pb2.AccessLogFilter()
    status = result.or_filter.filters.add().status_code_filter.comparison
    status.op = accesslog_pb2.ComparisonFilter.GE
    status.value.CopyFrom(base_pb2.RuntimeUInt32(default_value=LOWEST_SERVER_ERROR, runtime_key="access_log.status"))
    grpc = result.or_filter.filters.add().and_filter.filters
    # Without this, every call that is not gRPC counts as a gRPC call of unknown status.
    is_grpc = route.HeaderMatcher(name="content-type", string_match=string_pb2.StringMatcher(prefix="application/grpc"))
    grpc.add().header_filter.header.CopyFrom(is_grpc)
    # The transcoder turns a REST call into gRPC and its response into JSON, which then has no gRPC status.
    transcoded = route.HeaderMatcher(name="x-envoy-original-path", present_match=True, invert_match=True)
    grpc.add().header_filter.header.CopyFrom(transcoded)
    statuses = accesslog_pb2.GrpcStatusFilter.Status
    grpc.add().grpc_status_filter.statuses.extend(statuses.Value(name) for name in FAULTY_GRPC)
    result.or_filter.filters.add().response_flag_filter.SetInParent()
    return result
