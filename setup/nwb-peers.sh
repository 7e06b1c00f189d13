#!/usr/bin/env bash
# Puts into .venv-nwb/ what scripts/ are made of and what judges their NWB files, by version and hash.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -x .venv-nwb/bin/python ]] || python3 -m venv .venv-nwb
.venv-nwb/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: -r scripts/requirements.txt -r tests/requirements-nwb.txt
touch .venv-nwb/ready
