# The one door: `make run` is all that a newcomer needs, `make check` what every change must pass.
.DEFAULT_GOAL := help
.PHONY: help setup run test check format interop interop-clients interop-stomp interop-rocketmq interop-websocket differential crash fuzz fuzz-guided bench bench-scale demo clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "RosettaMQ needs Python 3.11 or newer; set PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python cannot make virtual environments. On Debian and Ubuntu:" >&2; \
		     echo "    sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(READY) ## Make .venv with everything in it
run: setup ## Start the broker; its data is in ./data
	@exec $(BIN)/rosettamq serve
test: setup ## Run the tests
	$(BIN)/pytest
check: setup ## Lint, formatting, types and tests: what every change must pass
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest
format: setup ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
interop: setup ## Real clients in every direction, as a matrix
	$(BIN)/python -m interop
interop-clients: setup ## AMQP clients of many languages, on ours and on RabbitMQ; takes minutes
	$(BIN)/python -m interop.clients
interop-stomp: setup ## STOMP clients of several languages, on ours and on RabbitMQ's plugin
	$(BIN)/python -m interop.clients.stomp
interop-rocketmq: setup ## RocketMQ's own clients on ours; Maven fetches them first
	$(BIN)/python -m interop.clients.rocketmq
interop-websocket: setup ## STOMP over WebSocket: stompjs in Node and in Chromium
	$(BIN)/python -m interop.websocket
differential: setup ## The same in AMQP and STOMP on RabbitMQ and on us; EXAMPLES=n for more
	DIFFERENTIAL_EXAMPLES=$${EXAMPLES:-500} $(BIN)/pytest tests/differential
crash: setup ## Kill the broker under load, ten times; takes minutes
	CRASH_ROUNDS=10 CRASH_MESSAGES=200000 $(BIN)/pytest -s tests/crash
fuzz: setup ## 100,000 mutated conversations in each of AMQP, STOMP and RocketMQ's protocol; takes minutes
	$(BIN)/python -m tests.fuzz.amqp $${SEED:-1} $${COUNT:-100000}
	$(BIN)/python -m tests.fuzz.stomp $${SEED:-1} $${COUNT:-100000}
	$(BIN)/python -m tests.fuzz.native $${SEED:-1} $${COUNT:-100000}
fuzz-guided: setup ## The same led by coverage, with atheris; TARGET=amqp-frames RUNS=n
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.guided $${TARGET:-amqp-connections} $${RUNS:-100000}
bench: setup ## Measure it
	$(BIN)/python -m bench
bench-scale: setup ## Many connections, channels and queues
	$(BIN)/python -m bench.scale
demo: setup ## Orders in three languages, each read in the other two
	@$(BIN)/rosettamq demo
clean: ## Remove what was made; keeps ./data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info interop/websocket/node_modules
