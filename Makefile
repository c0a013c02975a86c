# Every target is one command of `python -m stack` or `python -m tools`; the bootstrap installs what it needs first.
# The variables that select a stack, printed by `make help`:
#: PORT the edge's port on 127.0.0.1 (8080); its HTTPS port is 363 higher (8443)
#: STATE the folder for everything the stack writes: must be empty, absent or a stack's
#: NETWORK N of 127.N.S.R, the addresses of its parts (16; derived from any other PORT)
#: TOOLS the folder of the Python environment and of Kafka's jars, shared by stacks
#: TEST_PORT the edge's port of the tests' own stack (18080)
#: PROFILE make up: small (default), or ha: three brokers of Kafka, three members of PostgreSQL; a stack keeps it
#: LOG_LEVEL log level of the services: DEBUG, INFO (default), WARNING, ERROR
#: TRACES 1: make up turns on tracing and starts a viewer; 0: turns it off
#: TRACES_KEPT percent of the traces that the viewer keeps of those without error, slow call or pending order (100)
#: PROBE 1: make up starts the prober, which places an order every 10 s and cancels it; 0: ends that
#: ALERT_WEBHOOK make up: the URL to which Alertmanager posts pages and tickets; `off` removes it (off)
#: OTEL_EXPORTER_OTLP_ENDPOINT where traces are sent (http://127.0.0.1:4317); not sent if unset
#: SEEDS how many seeds make simulate runs (1000); SEED runs one of them
#: SVC a service or a replica: orders, orders-0, kafka, inventory-0-envoy
#: NAMESPACE on Kubernetes: the namespace of the shop (shop)
#: TRACES_TO on Kubernetes: SERVICE.NAMESPACE of the OpenTelemetry Collector that every call is traced to; none if unset
#: ON make chaos: the cluster to inject faults into, as NAMESPACE/CONTEXT; a stack if unset
#: PYTHON the Python (3.11 or later) that installs everything else
# What the command line sets is text, also what looks like a call of make's functions: some of it is what other people
# chose, such as a customer's name, and make would expand it for the environment of each command.
$(foreach v,$(.VARIABLES),$(if $(findstring command,$(origin $v)),$(eval override export $v := $$(value $v))))
# The value of a variable as one word of the shell, whatever it has in it.
text = '$(subst ','\'',$(value $(1)))'
PYTHON ?= $(shell command -v /usr/bin/python3 || command -v python3)
STACK := $(PYTHON) -m stack.bootstrap
DEVELOPER := $(PYTHON) -m tools.bootstrap
# A one-node cluster for trials, if there is one beside this checkout. It has no registry: it builds images and loads
# them itself. Commands that run inside its network install from outside of it.
CLUSTER := $(wildcard ../shared/cluster/cluster)

.DEFAULT_GOAL := help
.PHONY: mesh-apply mesh-delete mesh-diff mesh-dump proxy-status proxy-config breakers
.PHONY: chaos chaos-all chaos-random failover
.PHONY: rotate export-customer erase-customer
.PHONY: bench bench-peer bench-quick reconcile redrive messages soak hostile help up down status slo logs stop start restart kill run sidecar example demo order token clean protos lint unit components integration test

help: ## show the commands and the variables
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@printf '\n%s\n' 'Variables (make up PORT=9080, or in the environment):'
	@grep -hE '^#: ' $(MAKEFILE_LIST) | sed -E 's/^#: ([A-Z_]+) /  \1\t/' | expand -t 32

up: ## install what is missing, start everything, wait until an order has been placed
	@$(STACK) up

down: ## stop everything; the state is kept
	@$(STACK) down

status: ## every process: pid, address, health, restarts, uptime, memory
	@$(STACK) status

slo: ## availability, error budget left, outages and time to recover over an hour, a day, a week and 30 days
	@$(STACK) slo

logs: ## the logs of SVC, or all logs: their last lines, then new ones as they come; FOLLOW=no: whole logs; SINCE=10m MATCH=regex LEVEL=error; ORDER=id, TRACE=id
	@$(STACK) logs $(call text,SVC) --since=$(call text,SINCE) --match=$(call text,MATCH) --level=$(call text,LEVEL) --follow=$(call text,FOLLOW) --order=$(call text,ORDER) --trace=$(call text,TRACE)

stop: ## stop SVC gracefully, until make start
	@$(STACK) stop $(call text,SVC)

start: ## start SVC again
	@$(STACK) start $(call text,SVC)

restart: ## stop SVC and start it
	@$(STACK) restart $(call text,SVC)

kill: ## send SIGKILL to every replica of SVC, which stays down until make start
	@$(STACK) kill $(call text,SVC)

run: ## run one replica of a running stack in the foreground, for example SVC=orders-0 LOG_LEVEL=DEBUG
	@$(STACK) run $(call text,SVC)

sidecar: ## add a service of your own to the mesh while this runs: identity, registry entry, sidecar; SVC=its name
	@$(STACK) sidecar $(call text,SVC)

example: ## run the example of docs/internal-services.md: a service joins the mesh and places an order
	@$(STACK) example

demo: ## place an order with curl; show the response, its row and its event
	@$(STACK) demo

order: ## the timeline of one order: each change with its time, replica and trace; ID=its id or name
	@$(STACK) order $(call text,ID)

token: ## print a token for CUSTOMER, signed by the development issuer; OPERATOR=yes for an operator
	@$(STACK) token --operator=$(call text,OPERATOR) -- $(call text,CUSTOMER)

reconcile: ## compare orders, holds, events and stock; repair what can be repaired, fail if a discrepancy remains
	@$(STACK) reconcile

rotate: ## turn over WHAT while calls go on: postgres, redis, page-token, signing-key, workload-certificates, edge-certificate
	@$(STACK) rotate $(call text,WHAT)

redrive: ## redeliver dead letters
	@$(STACK) redrive

export-customer: ## everything that is stored about CUSTOMER: a line of JSON for each order and request id
	@$(STACK) export-customer -- $(call text,CUSTOMER)

erase-customer: ## erase who CUSTOMER was from all final orders, for good; without SURE=yes only count; REFERENCE= is logged
	@$(STACK) erase-customer --reference=$(call text,REFERENCE) --sure=$(call text,SURE) -- $(call text,CUSTOMER)

messages: ## the last messages of TOPIC (pending_orders, order_events, stock_events, pending_orders.dead, …), decoded; ORDER=, LAST=20, FOLLOW=yes
	@$(STACK) messages $(call text,TOPIC) --order=$(call text,ORDER) --last=$(call text,LAST) --follow=$(call text,FOLLOW)

soak: ## place orders while processes are killed, then verify every guarantee; ARGUMENTS="--orders 50000 --seed 7"
	@$(STACK) soak $(ARGUMENTS)

chaos: ## run an experiment of chaos/experiments: EXPERIMENT=inventory-gone ARGUMENTS="--seed 7", or "--dry-run"
	@$(STACK) chaos $(call text,EXPERIMENT) $(ARGUMENTS)

chaos-all: ## run every experiment, and write an index page; ARGUMENTS="--only postgres,kafka"
	@$(STACK) chaos-all $(ARGUMENTS)

chaos-random: ## inject random faults for some minutes; SEED=7 MINUTES=5
	@$(STACK) chaos-random --seed=$(call text,SEED) --minutes=$(call text,MINUTES) $(ARGUMENTS)

failover: ## lose PostgreSQL's leader under load; print the seconds without writes, who leads now, what was lost; HOW=lost, crash, fenced or switchover; SVC=postgres-replica, kafka-1
	@$(STACK) failover --how=$(call text,HOW) --part=$(call text,SVC)

hostile: ## attack the stack while a regular client places orders; ROWS=grpc-no-te,slow (names or prefixes), ARGUMENTS="--seconds 2"
	@$(STACK) hostile $(if $(ROWS),--rows $(ROWS)) $(ARGUMENTS)

bench-quick: up ## compare a commit (BASE, HEAD) with this checkout under the same load, alternating; ARGUMENTS="--batch 100 --json FILE"
	@$(ENVIRONMENT)/bin/python -m bench.commits --base "$(or $(BASE),HEAD)" $(ARGUMENTS)

bench: up ## measure everything in one run (about ten minutes): text, JSON and a page with plots; ARGUMENTS="--only closed,reads --rounds 5"
	@$(ENVIRONMENT)/bin/python -m bench.whole $(ARGUMENTS)

bench-peer: up ## compare this checkout with the naive stack of bench/peer under the same load, alternating; ARGUMENTS="--rounds 5 --json FILE"
	@$(ENVIRONMENT)/bin/python -m bench.versus $(ARGUMENTS)

clean: ## remove what a stopped stack created in its folder, and list it
	@$(STACK) clean

.PHONY: backup backups restore drill

backup: ## back PostgreSQL up now: what changed since the last backup, everything once a week
	@$(STACK) backup

backups: ## list the backups with their times, sizes and WAL, and the moments that can be restored
	@$(STACK) backups

restore: ## bring a stopped stack back to the orders as of TO, and start it: TO=latest or TO=2026-11-26T05:00:00Z
	@$(STACK) restore $(call text,TO)

drill: ## lose PostgreSQL, Kafka and Redis for good on a stack of its own (PORT + 1), bring each back, print RPO and RTO; ONLY=kafka,redis RECORD=yes
	@$(STACK) drill --only=$(call text,ONLY) --record=$(call text,RECORD)

protos: ## generate the descriptor set and the stubs, and install them
	@$(if $(CLUSTER),tests/cluster/outside.sh) $(STACK) protos

lint: ## all static checks
	@$(DEVELOPER) lint

unit: ## the unit tests, which start no servers; TESTS=tests/unit/orders, or a file, or FILE::TEST
	@$(DEVELOPER) unit $(call text,TESTS)

components: ## the tests of one component with the real programs it needs; TESTS=… as for unit
	@$(DEVELOPER) components $(call text,TESTS)

integration: ## the tests of a whole stack, on a stack of their own; TESTS=… as for unit
	@$(DEVELOPER) integration $(call text,TESTS)

mesh-apply: ## apply FILE's Istio resources immediately, as kubectl apply does
	@$(STACK) mesh-apply $(call text,FILE)

mesh-delete: ## remove what was applied from FILE
	@$(STACK) mesh-delete $(call text,FILE)

mesh-diff: ## show what FILE (or what is applied now) changes in every Envoy
	@$(STACK) mesh-diff $(call text,FILE)

mesh-dump: ## show the configuration of the sidecars of SVC
	@$(STACK) mesh-dump $(call text,SVC)

proxy-status: ## whether every Envoy has what it was given, as istioctl shows it; with SVC what differs in its sidecars
	@$(STACK) proxy-status $(call text,SVC)

proxy-config: ## what the sidecars of SVC have, as istioctl shows it: WHAT=clusters, listeners, routes, endpoints or secrets; ARGUMENTS="--port 50051"
	@$(STACK) proxy-config $(call text,WHAT) $(call text,SVC) $(ARGUMENTS)

breakers: ## outlier detection in every sidecar: which hosts are ejected and since when, errors, pending, retries
	@$(STACK) breakers

test: ## lint, then the unit, component and integration tests, the latter on a stack of their own
	@$(DEVELOPER) test

.PHONY: simulate mutation

simulate: ## deterministic simulation of both services in virtual time; SEEDS=1000, SEED=7 (one seed with its trace), DEFECTS=yes (which seed finds each planted defect)
	@$(DEVELOPER) simulate --seeds=$(call text,SEEDS) --seed=$(call text,SEED) --defects=$(call text,DEFECTS)

mutation: ## mutation testing of the core: which small changes no test detects; MODULES=part of a name, SAMPLE=mutants of each, STORES=no
	@$(DEVELOPER) mutation --modules=$(call text,MODULES) --sample=$(call text,SAMPLE) --stores=$(call text,STORES)

.PHONY: mesh-differential

# What answers as Istio does, if it is beside this checkout.
ORACLE := $(wildcard ../shared/oracle/oracle)

mesh-differential: ## compare the local mesh with Istio's own code on random meshes: SEED=1 CASES=200 (and four times as many documents); RECORD=yes: write Istio's answers for the unit tests
	@$(if $(ORACLE),,$(error it takes Istio's answers, from ../shared/oracle))$(ENVIRONMENT)/bin/python -m tools.mesh_differential --oracle=$(ORACLE) --seed=$(or $(SEED),1) --cases=$(or $(CASES),200) $(if $(RECORD),--record)

# Kubernetes: whichever cluster KUBECONFIG names. OVERLAY is a folder of k8s/overlays, REGISTRY the registry of the images.
export BUILD ?= $(if $(CLUSTER),$(CLUSTER) build-image)
export LOAD ?= $(if $(CLUSTER),$(CLUSTER) load)
# The environment that `make protos` creates.
ENVIRONMENT = $(shell $(PYTHON) -c 'import os; from stack import bootstrap, settings; print(settings.read(os.environ, checkout=bootstrap.CHECKOUT).venv)')

# The addresses of its container engine and its API server.
BESIDE := $(if $(CLUSTER),eval "$$($(CLUSTER) env)";)

.PHONY: images image-locks deploy deploy-diff undeploy manifests chart release

images: protos ## build the images that changed
	@$(BESIDE) $(PYTHON) -m images.build cluster

deploy: ## deploy the system to a cluster and wait until an order has been placed
	@$(PYTHON) -m k8s.ready
	@$(MAKE) --no-print-directory images
	@$(PYTHON) -m k8s.deploy

deploy-diff: protos ## show what `make deploy` would change in the cluster, and change nothing
	@$(PYTHON) -m k8s.difference

manifests: protos ## write OVERLAY with REGISTRY's images into build/gitops: complete, in order, for Argo CD or Flux
	@$(PYTHON) -m k8s.manifests

chart: protos ## write, lint and pack the Helm chart with REGISTRY's images into build/chart; VERSION=0.1.0
	@$(if $(CLUSTER),tests/cluster/outside.sh) $(ENVIRONMENT)/bin/python -m tools.chart

release: protos ## write VERSION's chart, the digests of its images in REGISTRY and a bill of materials of each into build/release; PUSH=1 pushes them
	@$(MAKE) --no-print-directory images
	@$(BESIDE) $(if $(CLUSTER),tests/cluster/outside.sh) $(ENVIRONMENT)/bin/python -m tools.release

undeploy: ## remove it from the cluster; volumes and secrets are kept, unless DATA=delete CONFIRM=namespace/context
	@$(PYTHON) -m k8s.undeploy

image-locks: protos ## update the lock files of the images
	@images/lock.sh $(ENVIRONMENT)/bin/uv

# `make compose-images` is only for an engine that cannot build during `up`; with others, `docker compose up` is enough.
COMPOSE := $(if $(CLUSTER),$(CLUSTER) compose,docker compose)

.PHONY: compose-images test-cluster test-compose

compose-images: ## build the images of compose.yaml
	@$(BESIDE) $(PYTHON) -m images.build compose

test-cluster: protos ## kill pods of the deployed system under load, and print the effect
	@$(ENVIRONMENT)/bin/python -m pytest tests/cluster $(ARGUMENTS)

test-compose: protos compose-images ## start compose.yaml, place orders before and after inventory is killed, and take it down
	@$(COMPOSE) up -d && $(if $(CLUSTER),$(CLUSTER) compose-exec) $(ENVIRONMENT)/bin/python -m pytest tests/compose; status=$$?; [ $$status = 0 ] || $(COMPOSE) logs --tail=20; $(COMPOSE) down -v; exit $$status

.PHONY: check-cluster

check-cluster: ## deploy, test and remove everything on a one-node cluster of its own; then the same with Docker
	@tests/cluster/run.sh $(CLUSTER)
