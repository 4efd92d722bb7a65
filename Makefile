# Everything runs from a clone: `make run` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What only looks like a secret: examples in prose, development values, the tests' own keys.
NO_SECRETS := (sha256|digest|fingerprint)": "[0-9a-f-]{16,64}"|user:password@|the same as FERLINE|secretName:|"dataset": "1f0c|"ferline-test-secret"|p@ss|known to both|"nothing"|"only-for-this-test"|development-only
FILES := { git ls-files -z 2>/dev/null || find . -type f -not -path "./.*" -print0; }

.DEFAULT_GOAL := help
.PHONY: help setup run serve up drift test test-champion test-stack audit lint typecheck format docs lock benchmark clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("ferline needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,serving,drift,team,search,ray]'
	@touch $@

setup: $(STAMP) ## Make .venv and install the locked set

run: $(STAMP) ## The whole pipeline on synthetic faces: no server, no data or weights to download
	@$(BIN)/ferline run train-pipeline

serve: $(STAMP) ## The promoted model and its page on http://127.0.0.1:3000
	@$(BIN)/ferline models import-release --if-none || true
	@BENTOML_DO_NOT_TRACK=true BENTOML_HOME=$${FERLINE_HOME:-.ferline}/bentoml $(BIN)/bentoml serve serving.service:FaceService

up: $(STAMP) ## Every service as a process of this machine, and their addresses; Ctrl-C stops them
	@$(BIN)/ferline stack up

drift: $(STAMP) ## Simulated traffic that drifts, on the drift dashboard: http://127.0.0.1:8000
	@$(BIN)/ferline drift demo
	@$(BIN)/ferline drift dashboard --demo

test: $(STAMP) lint typecheck ## Lint, types and every test that needs no GPU, download, server, worker or real faces
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m "not stack and not e2e and not fer2013"

test-stack: $(STAMP) ## Real servers, workers, clusters and faces, the stack and its faults; needs Debian's postgresql and libfaketime
	$(BIN)/python -m pytest -m stack -v tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 2 --dist loadfile -m "(e2e or fer2013) and not stack" tests

test-champion: $(STAMP) ## tests/model on the champion of FERLINE_HOME, which `make run` trains
	@shown=$$($(BIN)/ferline models show champion --json) || { printf '%s\n' "$$shown" >&2; exit 1; }; \
	folder=$$(printf '%s' "$$shown" | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["folder"])') && \
	FERLINE_TEST_MODEL="$$folder/model.onnx" $(BIN)/python -m pytest tests/model

lint: $(STAMP) ## ruff, import contracts, schemas of compose file, workflow and manifests, no secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml infra/compose.production.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(FILES) | xargs -0 $(BIN)/detect-secrets-hook --exclude-files "\.ambr$$|Makefile" --exclude-lines '$(NO_SECRETS)'
	$(BIN)/kubernetes-validate --strict --quiet infra/k8s/[!k]*.yaml

audit: $(STAMP) ## Known holes of the locked packages; asks PyPI
	$(BIN)/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip

typecheck: $(STAMP) ## mypy, strict
	$(BIN)/mypy

format: $(STAMP) ## Rewrite files as ruff wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write docs/cli.md, recipe-keys.md and schedule.svg from the program
	$(BIN)/typer flows.cli utils docs --name ferline --title 'The command line' --output docs/cli.md
	{ printf '# Keys of a recipe\n\nWhat `--set key=value` and Prefect'"'"'s form take; see [training](training.md).\n\n'; \
	  $(BIN)/ferline presets --keys; } > docs/recipe-keys.md
	$(BIN)/python -m benchmarks.schedule

lock: ## Resolve the newest allowed set in a fresh environment and write requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet '.[dev,serving,drift,team,search,ray]'
	build/lock/bin/python -m pip freeze --exclude ferline > requirements.lock

benchmark: $(STAMP) ## What the performance claims rest on; needs FER-2013 for ingest, a champion and hey for serving
	$(BIN)/python -m benchmarks.synthetic
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.rollout
	$(BIN)/python -m benchmarks.serving

clean: ## Remove .venv and all local state: a full reset
	rm -rf $(VENV) .ferline build
