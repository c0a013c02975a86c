"""
VirtualService `fault` -> Envoy's fault filter (istio: networking/core/route/route.go TranslateFault).
"""

import grpc
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common
from envoy.extensions.filters.http.fault.v3 import fault_pb2

from translator.config.protoconv import duration, hundredths, millionths
from translator.model.problems import BlockError
from translator.model.values import Block

FILTER = "envoy.filters.http.fault"
GRPC_STATUS = {status.name: int(status.value[0]) for status in grpc.StatusCode}
LOWEST_STATUS = 200
# Istio takes the rule, and drops the fault from it.
DOES_NOTHING = "does nothing in Istio, and is not supported here"


def http_fault(block: Block) -> fault_pb2.HTTPFault:
    """
    Return the faults of one route; an absent percentage means never, as in Istio.
    """
    if not {"delay", "abort"} & set(block):
        raise BlockError("", "must have a delay or an abort")
    fault = fault_pb2.HTTPFault()
    if "delay" in block:
        fault.delay.CopyFrom(_delay(block["delay"]))
    if "abort" in block:
        fault.abort.CopyFrom(_abort(block["abort"]))
    return fault


def _delay(block: Block) -> common.FaultDelay:
    if "fixedDelay" not in block:
        raise BlockError("delay.fixedDelay", f"is required: a delay without it {DOES_NOTHING}")
    share = millionths(block["percentage"]) if "percentage" in block else hundredths(block.get("percent", 0))
    return common.FaultDelay(fixed_delay=duration(block["fixedDelay"]), percentage=share)


def _abort(block: Block) -> fault_pb2.FaultAbort:
    share = millionths(block["percentage"]) if "percentage" in block else None
    if "httpStatus" in block:
        if block["httpStatus"] < LOWEST_STATUS:
            raise BlockError("abort.httpStatus", f"must be at least {LOWEST_STATUS}")
        return fault_pb2.FaultAbort(http_status=block["httpStatus"], percentage=share)
    if "grpcStatus" not in block:
        raise BlockError("abort", f"needs httpStatus or grpcStatus: an abort without either {DOES_NOTHING}")
    if block["grpcStatus"] not in GRPC_STATUS:
        raise BlockError("abort.grpcStatus", f"must be one of {', '.join(GRPC_STATUS)}")
    return fault_pb2.FaultAbort(grpc_status=GRPC_STATUS[block["grpcStatus"]], percentage=share)
