# The commands of LoRA Craft. PORT, HOST and LORACRAFT_DATA are honoured, from the environment, .env or `make run PORT=5001`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

.PHONY: setup setup-dev demo run test lint bench chaos screenshots help

help:
	@echo "make demo    set up, then train a real model before your eyes"
	@echo "make run     set up, then run the app (PORT=5000 HOST=127.0.0.1)"
	@echo "make setup   install packages, migrate, prepare the starter model; quick when nothing changed"
	@echo "make test    all tests        make lint   ruff, mypy, templates, migrations"
	@echo "make bench   benchmarks, written to docs/benchmarks.md"
	@echo "make chaos   what happens when things break, at real sizes, written to reports/reliability.json"

setup: needs-python
	@$(PYTHON) scripts/setup.py

setup-dev: needs-python
	@$(PYTHON) scripts/setup.py --dev

.PHONY: needs-python
needs-python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found. Install it, or name it: make setup PYTHON=/path/to/python3"; exit 1; }

demo: setup
	@$(BIN)/python scripts/serve.py --demo

run: setup
	@$(BIN)/python scripts/serve.py

test: setup-dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

bench: setup-dev
	@$(BIN)/python -m benchmarks.run

chaos: setup-dev
	@$(BIN)/python -m pytest -m accident tests/chaos
	@$(BIN)/python -m tests.chaos $(ARGS)

screenshots: setup-dev
	@$(BIN)/python scripts/screenshots.py $(ARGS)
