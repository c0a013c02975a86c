#!/usr/bin/env bash
# Everything that a cluster and Docker have to show, on a one-node cluster of its own that is gone in the end.
# Usage: tests/cluster/run.sh CLUSTER, where CLUSTER is the program that starts one (`up`, `exec`, `compose`, `down`).
set -euo pipefail
cd "$(dirname "$0")/../.."
cluster=$1
trap '"$cluster" down' EXIT
"$cluster" up
# For test_chart.py, which installs a second shop from the Helm chart: builds helm.
make chart CLUSTER="$cluster"
# One case does not hold on one node: after a minute of silence calls failed for some seconds when the API server was back,
# presumably because it took its only node for not ready. `make test-cluster` tries it too.
silent_for_a_minute="tests/cluster/test_planned.py::test_customers_do_not_notice_that_the_api_server_is_silent[60]"
"$cluster" exec make deploy test-cluster CLUSTER="$cluster" ARGUMENTS="--deselect=$silent_for_a_minute"
"$cluster" exec sh -c 'make undeploy DATA=delete CONFIRM="shop/$(kubectl config current-context)"'
make test-compose CLUSTER="$cluster"
