# The targets for development and CI; each works on a fresh clone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install dev lint test docs bench bench-growth proof oracles fuzz faults race compose-test openstack openstack-down test-openstack full clean requirements

install: .venv/installed

.venv/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

dev: install
	$(BIN)/secaplane dev

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install
	$(BIN)/python -m pytest

# Pages that are generated from the code; a test fails when a committed page differs.
docs: install
	$(BIN)/python docs/reference/generate.py > docs/reference/settings.md.new
	mv docs/reference/settings.md.new docs/reference/settings.md
	$(BIN)/python docs/compliance/generate.py > docs/compliance/requirements.md.new
	mv docs/compliance/requirements.md.new docs/compliance/requirements.md

bench: install
	$(BIN)/python -m tests.bench

bench-growth: install
	$(BIN)/python -m tests.bench growth

# Software of others judges the notary's log (Tessera's fsck and litewitness, built by `go install` at the first run) and the
# formats of the export to a SIEM. Skips what cannot be built.
proof: install oracles
	SECAPLANE_TEST_SLOW_BUILDS=1 $(BIN)/python -m pytest -rs tests/oracles

# Libraries of others, in an environment of their own, that judge our formats in tests.
oracles: .venv-oracles/installed

# 10,000 valid and invalid requests generated from the OpenAPI document, sent to a control plane of its own.
fuzz: install .venv-fuzz/installed
	$(BIN)/python -m tests.fuzz

# Ten minutes of kills, stops and held requests with two or three of each process.
faults: install
	SECAPLANE_TEST_FAULT_SECONDS=600 $(BIN)/python -m pytest tests/faults/test_two_of_everything.py

# Ten thousand trials of the race between creating a child and deleting its parent.
race: install
	SECAPLANE_TEST_TRIALS=10000 $(BIN)/python -m pytest tests/flows/test_no_orphan.py

# The production layout in containers, broken under load. Needs root, Debian's packages and go; ends with 69 where
# containers cannot be run.
compose-test: install
	$(BIN)/python -m tests.compose

# An OpenStack of its own on the loopback, with fake hypervisors, for the plugin's tests: about 2.2 GiB of memory. Prints
# where its clouds.yaml is. Needs root and Debian's packages; ends with 69 where it cannot be run. CLOUD="--state FOLDER"
# keeps it in another folder.
openstack: .venv-openstack/installed
	$(PYTHON) -m tests.openstack.cloud up $(CLOUD)

openstack-down:
	$(PYTHON) -m tests.openstack.cloud down $(CLOUD)

# The plugin's tests on that OpenStack, which keeps running.
test-openstack: install openstack
	SECAPLANE_TEST_CLOUDS=$$($(PYTHON) -m tests.openstack.cloud where $(CLOUD)) $(BIN)/python -m pytest -rs tests/openstack

# Everything: minutes to hours.
full: lint test proof faults race fuzz compose-test test-openstack

.venv-fuzz/installed: requirements-fuzz.txt
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	touch $@

.venv-oracles/installed: requirements-oracles.txt
	$(PYTHON) -m venv .venv-oracles
	.venv-oracles/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-oracles.txt
	touch $@

# Without the resolver, which does not find a pin where a dependency names an extra (`oslo.service[threading]`).
.venv-openstack/installed: requirements-openstack.txt
	$(PYTHON) -m venv .venv-openstack
	.venv-openstack/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-openstack.txt
	.venv-openstack/bin/pip check --disable-pip-version-check
	touch $@

# Pins every dependency with hashes, without the address of a registry. Needs pip-tools.
requirements:
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--strip-extras --no-header --allow-unsafe --extra embedded --extra hsm --extra s3 --extra timestamps -o requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--strip-extras --no-header --allow-unsafe --extra embedded --extra hsm --extra s3 --extra timestamps --extra dev \
		-c requirements.txt -o requirements-dev.txt pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--strip-extras --no-header --allow-unsafe -c requirements-dev.txt -o requirements-fuzz.txt requirements-fuzz.in
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--strip-extras --no-header --allow-unsafe -o requirements-oracles.txt requirements-oracles.in
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--strip-extras --no-header --allow-unsafe -o requirements-openstack.txt requirements-openstack.in

clean:
	rm -rf .venv .venv-fuzz .venv-oracles .venv-openstack .secaplane build dist *.egg-info
