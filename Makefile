# Needs make and Python 3.11 or newer; everything else is installed into .venv and tests/js/node_modules.
PYTHON ?= python3
BIN := .venv/bin
# The file that npm writes last.
NODE := tests/js/node_modules/.package-lock.json

.PHONY: help run test quick e2e slow serial cluster drills clients image matrix client-js mutants bench bench-smoke autobahn lint lock version-set clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

run: .venv/ready ## Run the service on http://localhost:8080 with an embedded Valkey
	@JOIN_SESSION_DEMO=$${JOIN_SESSION_DEMO-true} exec $(BIN)/join-session serve

quick: .venv/ready ## Check types and run the fast tests: architecture, domain, steps in Redis, one route, one event
	@$(BIN)/dmypy run --timeout 3600 & types=$$!; \
		$(BIN)/pytest --quiet $(QUICK) $(ARGS); tests=$$?; wait $$types && exit $$tests

QUICK := tests/test_architecture.py tests/model tests/steps tests/contract -m "not slow" -k "not recording or joining or recovery"

test: .venv/ready $(NODE) ## Run the tests; ARGS goes to pytest, for example ARGS="-k name"
	$(BIN)/pytest --numprocesses=4 $(SHARE_OUT) -m "not slow" $(ARGS)

# Each process runs a part of the tests in order, because they share servers, and at the end takes over tests of others.
SHARE_OUT := --dist=worksteal

e2e: slow serial cluster ## Run all slow tests, then the drills on a cluster

slow: .venv/ready $(NODE) ## Run the slow tests, except those that need an idle machine
	$(BIN)/pytest --numprocesses=3 $(SHARE_OUT) -m "slow and not serial and not cluster and not clients" $(ARGS)

serial: .venv/ready $(NODE) ## Run the slow tests that need an idle machine
	$(BIN)/pytest -m "serial and not cluster" $(ARGS)

cluster: .venv/ready ## Run the drills on a temporary kind cluster; needs Docker and kind
	@tests/e2e/run $(ARGS)

drills: .venv/ready ## Run the long drills, which CI runs once a week, on a temporary kind cluster
	@tests/e2e/run weekly $(ARGS)

clients: .venv/ready $(NODE) ## Build clients in Java and Rust and let them live through a session; needs Maven and Cargo
	$(BIN)/pytest -m clients $(ARGS)

image: .venv/ready ## Build the image twice, look into it and run it; needs Docker
	$(BIN)/pytest -m cluster tests/e2e/test_image.py $(ARGS)

matrix: .venv/ready $(NODE) ## Run all tests in every combination of the lanes, and of compression and patches; takes two hours
	@set -e; for switches in $(MATRIX); do \
		echo "$$switches"; \
		env $$(echo $$switches | tr , ' ') $(MAKE) --no-print-directory test slow serial; \
	done

# Any value of one switch meets any value of another one, but for those of direct joins and patches.
MATRIX := \
	TEST_DIRECT_JOINS=true,TEST_DIRECT_WEBSOCKETS=true,TEST_COMPRESSION=true,TEST_PATCHES=false \
	TEST_DIRECT_JOINS=true,TEST_DIRECT_WEBSOCKETS=false,TEST_COMPRESSION=false,TEST_PATCHES=false \
	TEST_DIRECT_JOINS=false,TEST_DIRECT_WEBSOCKETS=true,TEST_COMPRESSION=false,TEST_PATCHES=true \
	TEST_DIRECT_JOINS=false,TEST_DIRECT_WEBSOCKETS=false,TEST_COMPRESSION=true,TEST_PATCHES=true

autobahn: .venv/ready ## Run all cases of the Autobahn test suite against the WebSocket protocol
	$(BIN)/python -m tests.protocol.autobahn

mutants: .venv/ready ## Put faults into the code and list those that no test finds; takes hours; ARGS goes to tests.mutants
	$(BIN)/python -m tests.mutants.run $(ARGS)

bench: .venv/ready ## Measure against Node and write docs/benchmarks.md; 30 minutes on an idle machine; ARGS="A B" for some scenarios
	$(BIN)/python -m bench $(ARGS)

bench-smoke: .venv/ready ## Check in two minutes that the benchmarks run
	$(BIN)/python -m bench --smoke $(ARGS)

lint: .venv/ready ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

client-js: $(NODE) ## Build the JavaScript client after a change of clients/js/src: clients/js/dist, app/web/vendor/client.js
	$(BIN)/node clients/js/build.mjs

lock: .venv/ready ## Update the lock files after a change of pyproject.toml; ARGS=--upgrade for newer versions
	$(BIN)/uv pip compile $(LOCK) $(ARGS) --output-file=requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) $(ARGS) --output-file=requirements-dev.lock --constraints=requirements.lock --all-extras pyproject.toml
	$(BIN)/uv pip compile $(LOCK) $(ARGS) --output-file=k8s/development/reload.lock k8s/development/reload.in

# Renovate runs what uv writes of it into the files, and wants these signs between options and values.
LOCK := --quiet --universal --python-version=3.11 --generate-hashes

version-set: .venv/ready ## Set the version in all files that contain it: VERSION=1.2.3
	@.ci/version-set "$(VERSION)"
	@$(BIN)/join-session openapi > docs/openapi.json
	@$(BIN)/join-session asyncapi > docs/asyncapi.json
	@$(BIN)/python -m tests.packaging.generate

clean: ## Remove everything that make has installed or built
	rm -rf .venv .cache bench/node_modules bench/peers/bun/node_modules tests/js/node_modules tests/js/build .dmypy.json \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis

$(NODE): tests/js/package-lock.json | .venv/ready
	@$(BIN)/python -m tests.harness.node

.venv/ready: requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON): make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "This Python has no venv; Debian and Ubuntu have it in the package python3-venv"; exit 1; }
	@echo "1/3 Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "2/3 Installing uv, which installs the rest"
	@sed -n '/^uv==/,/# via/p' requirements-dev.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
	@echo "3/3 Installing the packages of requirements-dev.lock"
	@$(BIN)/uv pip sync --compile-bytecode --python $(BIN)/python requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
