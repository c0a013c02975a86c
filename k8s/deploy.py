"""
Deploys the system to the cluster that KUBECONFIG names, and finally places an order.

    python3 -m k8s.deploy

OVERLAY is a folder of k8s/overlays (`one-node` by default), REGISTRY the registry of the images, EDGE the edge's
address if the cluster does not report it, TOKEN a customer's token if the cluster has no development issuer, TRACES_TO
the Service of an OpenTelemetry Collector.
"""

import os
import secrets
import sys
import time

from images.catalogue import MissingInput
from k8s import api_server, credentials, edge, namespace, prune, ready, render, stages, traces
from k8s.kubectl import ClusterError, get


def main() -> None:
    """Deploy, or exit with an error."""
    try:
        deploy(os.environ.get("OVERLAY") or "one-node")
    except (ClusterError, MissingInput) as error:
        sys.exit(f"deploy: {error}")


def deploy(overlay: str) -> None:
    """
    Apply every stage in order, waiting for each.

    Nothing that runs is changed before the server has accepted everything in a dry run.
    """
    started = time.monotonic()
    ready.need_istio()
    spans_to = traces.receiver()
    traces.need(spans_to, say=say)
    manifests = render.manifests(overlay)
    namespace.first(manifests)
    stages.dry_run(manifests)
    credentials.keep(say=say)
    stages.apply(manifests, "foundation")
    api_server.allow()
    stages.stores(manifests, say=say)
    # After the stores, because the control plane fetches the development issuer's key immediately.
    stages.apply(manifests, "mesh")
    stages.migrations(manifests, say=say)
    stages.services(manifests, say=say)
    namespace.last(manifests)
    prune.prune(manifests, say=say)
    where = edge.address()
    trace = secrets.token_hex(16) if spans_to else ""
    # Of a trace that is kept, whatever part of them the overlay keeps.
    traceparent = trace and f"00-{trace}-{secrets.token_hex(8)}-01"
    sent = traces.sent(spans_to) if spans_to else {}
    order = edge.place(where, edge.token(), traceparent=traceparent)
    say(f"{where} accepted {order['name']}: {order['state']}")
    if spans_to:
        traces.wait_for_spans(spans_to, sent, say=say)
        say(f"traces: the edge's Envoy has sent spans to {spans_to.host}; the order should be there as trace {trace}")
    say(f"the system is running, {time.monotonic() - started:.0f} s after the first step; {_pods()} pods")


def _pods() -> int:
    return len(get("pods", "--field-selector=status.phase=Running"))


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"deploy: {line}", flush=True)


if __name__ == "__main__":
    main()
