# Sets up, builds, runs and tests Kalmind. `make help` lists the targets.
#
# Setting up is done by files that depend on what they were made from, so a second run does nothing. Nothing outside
# this folder is changed, except that missing distribution packages are installed (as root, or through sudo).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# A RUSTFLAGS variable would replace the flags that link liblsl (.cargo/config.toml), and another target folder would
# be out of reach of the run path that finds it.
unexport RUSTFLAGS
unexport CARGO_ENCODED_RUSTFLAGS
unexport CARGO_BUILD_RUSTFLAGS
unexport CARGO_TARGET_DIR
unexport CARGO_BUILD_TARGET_DIR
unexport CARGO_BUILD_TARGET

CARGO ?= cargo

LIBLSL := .liblsl/ready
PYTHON_PEERS := .venv/peers-ready
NWB_PEERS := .venv-nwb/ready
NWB_RECORDINGS ?= fixtures/session/session.xdf
BROWSER := tests/browser/node_modules/ready
DOCUMENT_CHECKERS := tests/documents/node_modules/ready

.PHONY: help build demo test test-rust test-replay test-ring test-nwb test-browser test-documents test-endurance bench accuracy lint clean

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo "Options of the demo: make demo DEMO='--headless --seconds 60 --seed 2 --json'"

build: $(LIBLSL) ## build target/release/kalmind
	$(CARGO) build --locked --release

demo: build ## run a simulated participant, the daemon and the live page in one go
	target/release/kalmind demo $(DEMO)

test: test-rust test-replay test-ring test-nwb test-browser test-documents ## set up and run every test

test-rust: $(LIBLSL) $(PYTHON_PEERS) $(BROWSER) ## unit, property and end-to-end tests
	$(CARGO) test --locked --workspace

test-replay: $(LIBLSL) ## the golden replay again, as the program is released
	$(CARGO) test --locked --release --test replay

test-nwb: $(LIBLSL) $(NWB_PEERS) ## recordings to NWB and back, judged by nwbinspector
	$(CARGO) build --locked
	.venv-nwb/bin/python tests/python/nwb_round_trip.py --kalmind target/debug/kalmind $(NWB_RECORDINGS)

test-ring: $(LIBLSL) ## model checking of the lock-free ring
	$(CARGO) test --locked -p kalmind-acquisition --features loom --test ring_loom --release

test-endurance: build $(PYTHON_PEERS) $(BROWSER) ## attacks, slow clients, silent hours and a soak; about an hour
	$(CARGO) build --locked --release -p kalmind-tools
	setup/test-endurance.sh

test-browser: $(LIBLSL) $(BROWSER) ## the live page and the page of an evaluation in Chromium
	$(CARGO) build --locked -p kalmind-tools --bin fake_session
	$(CARGO) build --locked
	setup/test-browser.sh

test-documents: $(DOCUMENT_CHECKERS) ## the OpenAPI and AsyncAPI documents, judged by Redocly and the AsyncAPI parser
	cd tests/documents && npm test

bench: $(LIBLSL) $(PYTHON_PEERS) ## measure the speed of every stage, with the accuracy beside it
	$(CARGO) bench --locked

accuracy: build ## decoders on the real recording beside the published figures (takes long; ACCURACY='--quick' less)
	python3 benches/accuracy/table.py $(ACCURACY)

lint: $(LIBLSL) ## formatting, lints, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

clean: ## remove everything that make put into this folder
	rm -rf target .liblsl .venv .venv-nwb tests/browser/node_modules tests/documents/node_modules

$(LIBLSL): setup/liblsl.sh setup/packages.sh setup/requirements.txt
	setup/liblsl.sh

$(PYTHON_PEERS): setup/python-peers.sh tests/requirements.txt $(LIBLSL)
	setup/python-peers.sh

$(NWB_PEERS): setup/nwb-peers.sh scripts/requirements.txt tests/requirements-nwb.txt $(LIBLSL)
	setup/nwb-peers.sh

$(BROWSER): setup/browser.sh setup/packages.sh tests/browser/package.json tests/browser/package-lock.json
	setup/browser.sh

$(DOCUMENT_CHECKERS): setup/documents.sh setup/packages.sh tests/documents/package.json tests/documents/package-lock.json
	setup/documents.sh
