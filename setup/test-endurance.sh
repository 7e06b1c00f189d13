#!/usr/bin/env bash
# Runs every script of tests/endurance, or those that are named; each prints its figures and fails where one is missed.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts=("$@")
if [ ${#scripts[@]} -eq 0 ]; then
    for script in tests/endurance/*.py tests/endurance/*.sh; do
        # what the others share
        [ "$script" = tests/endurance/laboratory.py ] || scripts+=("$script")
    done
fi
failed=()
for script in "${scripts[@]}"; do
    echo "== $script"
    case "$script" in
        *.py) .venv/bin/python "$script" --kalmind target/release/kalmind || failed+=("$script") ;;
        *) "$script" || failed+=("$script") ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
