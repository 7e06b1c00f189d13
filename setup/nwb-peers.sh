#!/usr/bin/env bash
# Puts into .venv-nwb/ what the scripts for NWB need, to test them.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv-nwb
.venv-nwb/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r scripts/requirements.txt
touch .venv-nwb/ready
