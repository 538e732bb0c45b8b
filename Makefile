# Everything a fresh machine needs, in one place. `make serve` and `make test` do all the set-up themselves: they need Python 3.11
# or later, a C compiler and a package manager. Stamp files make the second run quick.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
OFFICIAL_CLIENT = scitrera-aether-client==0.2.3

PY = .venv/bin/python
# NATIVE=0 does without libnghttp2: the purerpc engine serves, and the tests know that there is no other.
NATIVE ?= 1
BUILT = .venv/.built$(if $(filter 0,$(NATIVE)),-pure)
ARGS ?=
# Test processes at a time; a file's tests stay together. 0: one after another in the process that pytest starts in.
JOBS ?= auto
export NATIVE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help serve demo test lint format types check bench plots fuzz asan proto proto-check build clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(BUILT)  ## set up what is missing and start a development gateway on this machine (ARGS="--port 50052")
	$(PY) -m aether serve --dev $(ARGS)

demo: $(BUILT)  ## a gateway and two agents that talk, in one process
	$(PY) -m aether demo

test: $(BUILT) .venv-official/.installed  ## set up what is missing and run all tests (ARGS="-k kv -x", JOBS=0 for one process)
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: .venv/.installed  ## ruff: rules and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: .venv/.installed  ## ruff: mend what can be mended
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: .venv/.installed  ## mypy, strict
	$(PY) -m mypy

check: test lint types proto-check  ## everything that has to be green

bench: $(BUILT) .venv-bench/.installed  ## throughput, CPU and latency beside other servers (see bench/README.md)
	$(PY) -m bench $(ARGS)

plots: .venv-bench/.installed  ## draw the results of a run (ARGS="bench/results/reference*.json")
	.venv-bench/bin/python bench/plots.py $(ARGS)

fuzz: $(BUILT)  ## a million random and mutated inputs for the compiled parsers
	$(PY) -m tests.fuzz $(ARGS)

asan: .venv/.installed  ## the compiled parsers under AddressSanitizer (ARGS: how many inputs for the fuzzer)
	scripts/asan $(PY) $(ARGS)

proto: .venv-proto/.installed  ## regenerate the modules made from the .proto files (proto/generate.py)
	.venv-proto/bin/python proto/generate.py

proto-check: .venv-proto/.installed  ## are the generated modules what the .proto says?
	.venv-proto/bin/python proto/generate.py --check

build: $(BUILT)  ## compile the extensions in place

clean:  ## remove everything made here, the virtual environments too
	rm -rf .venv .venv-official .venv-proto .venv-bench build dist wheelhouse .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f src/aether/*.so src/aether/*/*.so src/aether/_fastpath.c src/aether/kv/_shortcuts.c src/aether/rpc/_http2.c
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

# The project's environment: dependencies and an editable install, again whenever the packaging changes.
.venv/.installed: pyproject.toml setup.py scripts/system-packages
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found; set PYTHON=/path/to/python3" >&2; exit 1; }
	scripts/system-packages $(PYTHON)
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install -q -e '.[dev]'
	@touch $@

# The compiled modules, in place, again whenever their source or NATIVE changes.
$(BUILT): .venv/.installed $(shell find src -name '*.pyx' -o -name '*.pxd')
	@rm -f .venv/.built* $(if $(filter 0,$(NATIVE)),src/aether/rpc/_http2.*.so)
	$(PY) setup.py -q build_ext --inplace
	@touch $@

# The published client has an environment of its own, so that its grpcio does not become ours.
.venv-official/.installed: Makefile
	test -x .venv-official/bin/python || $(PYTHON) -m venv .venv-official
	.venv-official/bin/python -m pip install -q '$(OFFICIAL_CLIENT)'
	@touch $@

# The servers that the benches compare with, and what draws their plots.
.venv-bench/.installed: bench/requirements.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q -r bench/requirements.txt
	@touch $@

# protoc and purerpc's plugin; proto/generate.py says why these versions.
.venv-proto/.installed: proto/requirements.txt
	test -x .venv-proto/bin/python || $(PYTHON) -m venv .venv-proto
	.venv-proto/bin/python -m pip install -q -r proto/requirements.txt
	@touch $@
