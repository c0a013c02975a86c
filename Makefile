# Every target is one command of `python -m stack` or `python -m tools`; the bootstrap installs what it needs first.
# What chooses the stack, for `make help`:
#: PORT the edge's port on 127.0.0.1 (8080); its HTTPS port is as far from it as 8443 is
#: STATE the folder of everything that the stack writes: empty, absent or a stack's
#: NETWORK N of 127.N.S.R, the addresses of its parts (16; with another PORT one made from it)
#: TOOLS the folder of the Python environment and of Kafka's jars, which stacks share
#: TEST_PORT the edge's port of the tests' own stack (18080)
#: LOG_LEVEL of the services: DEBUG, INFO (usual), WARNING, ERROR
#: TRACES 1: make up has calls traced and starts a viewer; 0: no longer
#: OTEL_EXPORTER_OTLP_ENDPOINT where traces go (http://127.0.0.1:4317); nowhere without it
#: SVC a service or a replica: orders, orders-0, kafka, inventory-0-envoy
#: PYTHON the Python 3.11 or later that installs the rest
PYTHON ?= $(shell command -v /usr/bin/python3 || command -v python3)
STACK := $(PYTHON) -m stack.bootstrap
DEVELOPER := $(PYTHON) -m tools.bootstrap
# A one-node cluster for tries, if one is beside this checkout. It has no registry: it builds images and loads them
# itself. What is called inside its network installs from outside of it.
CLUSTER := $(wildcard ../shared/cluster/cluster)

export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: mesh-apply mesh-delete mesh-diff mesh-dump breakers
.PHONY: chaos chaos-all chaos-random
.PHONY: bench-quick reconcile redrive soak hostile help up down status slo logs stop start restart kill run demo order token clean protos lint unit components integration test

help: ## say what can be done, and which variables choose what
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@printf '\n%s\n' 'Variables (make up PORT=9080, or in the environment):'
	@grep -hE '^#: ' $(MAKEFILE_LIST) | sed -E 's/^#: ([A-Z_]+) /  \1\t/' | expand -t 32

up: ## install what is missing, start everything, wait until an order goes through
	@$(STACK) up

down: ## end everything; the state stays
	@$(STACK) down

status: ## every process: pid, address, health, restarts, uptime, memory
	@$(STACK) status

slo: ## availability, error budget left, outages and time to recover, of an hour, a day, a week and 30 days
	@$(STACK) slo

logs: ## the log of SVC, or of everything: its end and what comes; FOLLOW=no: all of it; SINCE=10m MATCH=regex LEVEL=error; ORDER=id, TRACE=id
	@$(STACK) logs "$(SVC)" --since="$(SINCE)" --match="$(MATCH)" --level="$(LEVEL)" --follow="$(FOLLOW)" --order="$(ORDER)" --trace="$(TRACE)"

stop: ## end SVC in its own time, until make start
	@$(STACK) stop "$(SVC)"

start: ## start SVC again
	@$(STACK) start "$(SVC)"

restart: ## stop SVC and start it
	@$(STACK) restart "$(SVC)"

kill: ## SIGKILL every replica of SVC, until make start
	@$(STACK) kill "$(SVC)"

run: ## run one replica of a running stack in the foreground, say SVC=orders-0 LOG_LEVEL=DEBUG
	@$(STACK) run "$(SVC)"

demo: ## place an order with curl; show the answer, its row and its event
	@$(STACK) demo

order: ## one order's life: what happened to it, when, by which replica and in which trace; ID=its id or name
	@$(STACK) order "$(ID)"

token: ## a token for CUSTOMER, signed by the development issuer; OPERATOR=yes for an operator's
	@$(STACK) token "$(CUSTOMER)" --operator="$(OPERATOR)"

reconcile: ## compare orders, holds, events and stock; repair what can be, fail if something is left
	@$(STACK) reconcile

redrive: ## send dead letters on their way again
	@$(STACK) redrive

soak: ## buy while parts are killed, then check every promise; ARGUMENTS="--orders 50000 --seed 7"
	@$(STACK) soak $(ARGUMENTS)

chaos: ## run an experiment of chaos/experiments: EXPERIMENT=inventory-gone ARGUMENTS="--seed 7", or "--dry-run"
	@$(STACK) chaos "$(EXPERIMENT)" $(ARGUMENTS)

chaos-all: ## run every experiment, and write an index page; ARGUMENTS="--only postgres,kafka"
	@$(STACK) chaos-all $(ARGUMENTS)

chaos-random: ## break what a seed draws, for some minutes; SEED=7 MINUTES=5
	@$(STACK) chaos-random --seed="$(SEED)" --minutes="$(MINUTES)" $(ARGUMENTS)

hostile: ## attack while a bystander shops; ROWS=grpc-no-te,slow (names or their beginnings), ARGUMENTS="--seconds 2"
	@$(STACK) hostile $(if $(ROWS),--rows $(ROWS)) $(ARGUMENTS)

bench-quick: up ## compare a commit (BASE, HEAD) with this checkout under load, in turn; ARGUMENTS="--batch 100 --json FILE"
	@$(ENVIRONMENT)/bin/python -m bench.commits --base "$(or $(BASE),HEAD)" $(ARGUMENTS)

clean: ## remove what a stack that is down made in its folder, and say what
	@$(STACK) clean

protos: ## build the descriptor set and the stubs, and install them
	@$(if $(CLUSTER),tests/cluster/outside.sh) $(STACK) protos

lint: ## every check of the code that needs no running system
	@$(DEVELOPER) lint

unit: ## the tests that start nothing; TESTS=tests/unit/orders, or a file, or FILE::TEST
	@$(DEVELOPER) unit "$(TESTS)"

components: ## the tests that start the real programs which one component needs; TESTS=… as for unit
	@$(DEVELOPER) components "$(TESTS)"

integration: ## the tests of a whole stack, on one of their own; TESTS=… as for unit
	@$(DEVELOPER) integration "$(TESTS)"

mesh-apply: ## put FILE's Istio resources in force at once, as kubectl apply does
	@$(STACK) mesh-apply "$(FILE)"

mesh-delete: ## take back what was applied from FILE
	@$(STACK) mesh-delete "$(FILE)"

mesh-diff: ## what FILE (or what was applied) changes in every Envoy
	@$(STACK) mesh-diff "$(FILE)"

mesh-dump: ## what the sidecars of SVC have
	@$(STACK) mesh-dump "$(SVC)"

breakers: ## every sidecar's view of every host: ejected or not, since when, errors, pending, retries
	@$(STACK) breakers

test: ## lint, unit tests, those of components, then those of a whole stack, on one of their own
	@$(DEVELOPER) test

.PHONY: mutation

mutation: ## which small changes of the heart's code no test notices; MODULES=part of a name, SAMPLE=mutants of each
	@$(DEVELOPER) mutation --modules="$(MODULES)" --sample="$(SAMPLE)"

# Kubernetes: whichever cluster KUBECONFIG names. OVERLAY is a folder of k8s/overlays, REGISTRY where the images are.
export BUILD ?= $(if $(CLUSTER),$(CLUSTER) build-image)
export LOAD ?= $(if $(CLUSTER),$(CLUSTER) load)
# The environment that `make protos` brings.
ENVIRONMENT = $(shell $(PYTHON) -c 'import os; from stack import bootstrap, settings; print(settings.read(os.environ, checkout=bootstrap.CHECKOUT).venv)')

# Where its engine and its API server are.
BESIDE := $(if $(CLUSTER),eval "$$($(CLUSTER) env)";)

.PHONY: images image-locks deploy undeploy

images: protos ## build the images that changed
	@$(BESIDE) $(PYTHON) -m images.build cluster

deploy: images ## bring the system to a cluster, wait until an order goes through
	@$(PYTHON) -m k8s.deploy

undeploy: ## take it off again; volumes and secrets stay, unless DATA=delete
	@$(PYTHON) -m k8s.undeploy

image-locks: protos ## resolve anew what the images install
	@images/lock.sh $(ENVIRONMENT)/bin/uv

# `make compose-images` is only for an engine that cannot build while it runs; others need no more than `docker compose up`.
COMPOSE := $(if $(CLUSTER),$(CLUSTER) compose,docker compose)

.PHONY: compose-images test-cluster test-compose

compose-images: ## build the images of compose.yaml
	@$(BESIDE) $(PYTHON) -m images.build compose

test-cluster: protos ## kill pods of what is deployed, under load; print what it cost
	@$(ENVIRONMENT)/bin/python -m pytest tests/cluster $(ARGUMENTS)

test-compose: protos compose-images ## start compose.yaml, order, kill inventory, order again, take it down
	@$(COMPOSE) up -d && $(if $(CLUSTER),$(CLUSTER) compose-exec) $(ENVIRONMENT)/bin/python -m pytest tests/compose; status=$$?; [ $$status = 0 ] || $(COMPOSE) logs --tail=20; $(COMPOSE) down -v; exit $$status

.PHONY: check-cluster

check-cluster: ## deploy, test and remove everything on a one-node cluster of its own; then the same with Docker
	@tests/cluster/run.sh $(CLUSTER)
