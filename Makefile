# Everything runs from .venv, which is made on first use. A stamp file per set of extras lets a second run skip the installation.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV_PYTHON := .venv/bin/python
PYTEST_FLAGS ?= -n 2

DEMO_READY := .venv/.installed-train,demo
TEST_READY := .venv/.installed-train,demo,test,dev

.PHONY: help demo test lint bench models clean distclean

help:
	@echo "make demo       train, transplant and serve on handwritten digits; results go to demo_output/"
	@echo "make test       lint, then the whole test suite"
	@echo "make lint       ruff and mypy"
	@echo "make bench      the benchmarks, one table each"
	@echo "make models     write models/*.json anew"
	@echo "make clean      remove what building, testing and the demo wrote (distclean: .venv too)"

demo: $(DEMO_READY)
	@$(VENV_PYTHON) demo/run.py

test: lint
	$(VENV_PYTHON) -m pytest $(PYTEST_FLAGS)

lint: $(TEST_READY)
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

bench: $(TEST_READY)
	@for benchmark in benchmarks/[a-z]*.py; do $(VENV_PYTHON) "$$benchmark" || exit 1; done

models: $(DEMO_READY)
	$(VENV_PYTHON) models/generate.py

clean:
	rm -rf build dist demo_output *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

.venv/.installed-%: pyproject.toml constraints.txt | $(VENV_PYTHON)
	@echo "Installing onnxgrid[$*] into .venv"
	@$(VENV_PYTHON) -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@# pip compiles what it copies, and an editable installation is not copied.
	@$(VENV_PYTHON) -m compileall -q converters onnxgrid
	@touch $@

$(VENV_PYTHON):
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' || \
	  { echo "make demo and make test need Python 3.11 (onnxruntime-training has no newer wheel): make PYTHON=..."; exit 1; }
	@"$(PYTHON)" -m venv .venv
