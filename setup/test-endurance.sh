#!/usr/bin/env bash
# Runs every script of tests/endurance, or those that are named; each prints its figures and fails where one is missed.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts=("$@")
[ ${#scripts[@]} -gt 0 ] || scripts=(tests/endurance/*.py)
failed=()
for script in "${scripts[@]}"; do
    echo "== $script"
    .venv/bin/python "$script" --kalmind target/release/kalmind || failed+=("$script")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
