#!/usr/bin/env bash
# Puts into .venv/ what the tests' independent peers are made of, by version and hash.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: -r tests/requirements.txt
touch .venv/peers-ready
