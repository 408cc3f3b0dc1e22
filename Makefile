# Everything a developer does here. Python 3.11 or newer is all that must be there before.
PYTHON ?= python3
BIN := .venv/bin

# Many processes are started here, and without bytecode each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check fuzz format mutants bench e2e pgbouncer failover image-steps lock clean

run: .venv/run
	@exec $(BIN)/connections dev

# Three processes for two cores: many tests wait for others' processes. A file's tests share what it starts;
# in the order of their names, the short ones come last.
test: .venv/test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

# Asks the service whatever its OpenAPI document allows, and more; EXAMPLES=200 asks for long, other things each time.
fuzz: .venv/test
	$(if $(EXAMPLES),SCHEMATHESIS_EXAMPLES=$(EXAMPLES)) $(BIN)/python -m pytest -m fuzz

format: .venv/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Takes each guard away and insists that a test notices; ONLY="words of a guard or file" tries some of them.
mutants: .venv/test
	$(BIN)/python -m tests.mutants.run $(ONLY)

# Breaks whatever the service stands on, for an hour or more, and prints what was reached;
# SCENARIOS="sigkill endings" plays some of it, SEED=123 repeats a run.
.PHONY: chaos
chaos: .venv/test
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(SCENARIOS)

# Needs Debian's chromium: apt-get install chromium
e2e: .venv/test
	$(BIN)/python -m pytest -m browser

# Needs Debian's pgbouncer: apt-get install pgbouncer
pgbouncer: .venv/test
	$(BIN)/python -m pytest -m pgbouncer

# Needs Debian's PostgreSQL 15: apt-get install postgresql-15. The second run holds the store to its contract there.
failover: .venv/test
	$(BIN)/python -m pytest -m failover -s tests/failover
	POSTGRES_BIN=/usr/lib/postgresql/15/bin $(BIN)/python -m pytest tests/contract -k "postgres and not hosts and not embedded"

# Does what the Dockerfile does, in a fresh environment; fetches the locked packages once more.
image-steps: .venv/test
	$(BIN)/python -m pytest -m image

# Needs wrk: apt-get install wrk. QUICK=1 is done within a minute; ROWS=1000000 takes the large table at its word.
bench: .venv/test
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS))

lock: .venv/test
	$(BIN)/uv pip compile -q --upgrade $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) --extra dev --extra test -c requirements-dev.lock pyproject.toml -o requirements-test.lock
LOCK := --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11

clean:
	rm -rf .venv .data build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Connections needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/test: .venv/run requirements-test.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch $@
