#!/bin/sh
# Runs tests/mesh against real Istio: run.sh IMAGE [pytest's arguments]. kubectl must reach the cluster, and this machine
# the pods; PYTHON runs pytest. What it makes is a namespace, mesh-test, which it removes in the end.
set -eu
image=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
trap 'kubectl delete namespace mesh-test --wait=false >/dev/null' EXIT
kubectl apply -f "$here/mesh.yaml"
kubectl create configmap app -n mesh-test --from-file=app.py="$here/../app.py" --dry-run=client -o yaml | kubectl apply -f -
pod() { # NAME APP VERSION INJECT
  sed -e "s|@NAME@|$1|g" -e "s|@APP@|$2|g" -e "s|@VERSION@|$3|g" -e "s|@INJECT@|$4|g" -e "s|@IMAGE@|$image|g" "$here/pod.template" | kubectl apply -f -
}
pod front-0 front v1 true
pod back-0 back v1 true
pod back-1 back v2 true
pod visitor-0 visitor v1 true
pod outsider outsider v1 false
kubectl apply -f "$here/../rules/base.yaml"
kubectl wait -n mesh-test --for=condition=Ready pod --all --timeout=300s
address() { kubectl get pod -n mesh-test "$1" -o jsonpath='{.status.podIP}'; }
export MESH_FRONT="http://$(address front-0):9000" MESH_VISITOR="http://$(address visitor-0):9000"
export MESH_OUTSIDER="http://$(address outsider):9000" MESH_EDGE="http://$(address edge-0):8080"
export MESH_BACKS="back-0=http://$(address back-0):9000,back-1=http://$(address back-1):9000"
export MESH_PLAIN="$(address back-0):50051" MESH_TAKES_S=3
export MESH_APPLY="kubectl apply -f {}"
# What a test puts in the place of a base rule comes back when the test takes its own away.
export MESH_DELETE="sh -c 'kubectl delete -f {} && kubectl apply -f $here/../rules/base.yaml'"
"${PYTHON:-python3}" -m pytest tests/mesh "$@"
