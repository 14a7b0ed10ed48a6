# Everything a fresh Linux machine needs is Python >= 3.11 (with venv), make and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-all lint coverage mutation bench clean requirements

demo: $(STAMP)
	$(BIN)/gateway demo $(ARGS)

test: $(STAMP) lint coverage
	$(BIN)/python -m pytest -m "not peer" $(ARGS)

# The third-party peers: mbpoll from Debian, node-opcua, nodes7 and snap7 (built here) from npm. apt-get needs root.
test-all: $(STAMP) lint
	command -v mbpoll >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends mbpoll)
	command -v npm >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends nodejs npm)
	command -v g++ >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends g++)
	cd tests/peers && npm ci --no-audit --no-fund --ignore-scripts && npm rebuild node-snap7
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Fails below 100 % branch coverage of gateway/core by its own unit tests.
coverage: $(STAMP)
	$(BIN)/python -m coverage run -m pytest tests/unit/core -q
	$(BIN)/python -m coverage report

mutation: $(STAMP)
	$(BIN)/python benchmarks/mutation.py $(ARGS)

bench: $(STAMP)
	$(BIN)/python benchmarks/loop.py $(ARGS)

$(STAMP): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Pin again after a change of pyproject.toml (needs uv); the files name no index.
requirements:
	uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes --no-header --no-annotate -q -o requirements.txt
	uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes --no-header --no-annotate -q -o requirements-dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
