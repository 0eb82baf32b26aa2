# Everything one does with Purser from a checkout. `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help run test bench check format seed lock clean setup

PY := .venv/bin/python
ARGS ?=

help: ## Say what there is
	@echo "Purser. Data and logs live in PURSER_HOME (.purser), the web on PORT (8000)."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## Start everything: PostgreSQL, Valkey, web, workers, scheduler; Ctrl-C stops it (PORT=8001, PURSER_HOME=.purser-two)
	@sh deploy/local/setup.sh run
	@exec $(PY) -m config.local run

test: ## Run the tests on throw-away servers, all on several cores, or some: ARGS="-k holds -x" goes to pytest
	@sh deploy/local/setup.sh dev
	@$(PY) -m pytest $(or $(ARGS),-n auto --maxprocesses 4 --dist worksteal)

bench: ## Measure the hot path against its yardsticks (ARGS="usage --rounds 5", see docs/performance.md)
	@sh deploy/local/setup.sh dev
	@$(PY) -m benchmarks $(ARGS)

check: ## Lint, format, types, imports, migrations, OpenAPI
	@sh deploy/local/setup.sh dev
	@sh deploy/local/check.sh

format: ## Put the code in order
	@sh deploy/local/setup.sh dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

seed: ## Fill the running instance with demo customers and usage (SIZE=small|medium|large)
	@sh deploy/local/setup.sh run
	$(PY) manage.py demo --size $(or $(SIZE),small) $(ARGS)

lock: ## Renew uv.lock and the hashed requirements after a change of pyproject.toml
	@sh deploy/local/lock.sh

setup: ## Only make the environment, with the tools for tests and checks
	@sh deploy/local/setup.sh dev

clean: ## Remove the environment and caches; data in PURSER_HOME stays
	rm -rf .venv .boot .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
