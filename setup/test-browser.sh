#!/usr/bin/env bash
# Runs the browser test against the real server with a made-up session behind it.
set -euo pipefail
cd "$(dirname "$0")/.."

coproc SESSION { exec "${CARGO_TARGET_DIR:-target}/debug/examples/fake_session" 0; }
session=$SESSION_PID
trap 'kill "$session" 2>/dev/null || true' EXIT
if ! IFS= read -r -t 30 url <&"${SESSION[0]}"; then
    echo "test-browser: the session did not say where its page is" >&2
    exit 1
fi

cd tests/browser
KALMIND_URL="$url" npm test
