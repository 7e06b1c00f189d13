#!/usr/bin/env bash
# Runs the browser tests: the console against the real server with a made-up session behind it, the page that an
# evaluation writes of made-up rows, the page of a recorded session, and pages of other origins.
set -euo pipefail
cd "$(dirname "$0")/.."

built="$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd)"
coproc SESSION { exec "$built/fake_session" 0; }
session=$SESSION_PID
work=$(mktemp -d)
trap 'kill "$session" 2>/dev/null || true; rm -rf "$work"' EXIT
if ! IFS= read -r -t 30 url <&"${SESSION[0]}"; then
    echo "test-browser: the session did not say where its page is" >&2
    exit 1
fi

awk -v folder="$work" 'BEGIN {
    srand(1)
    print "a,b,c <d>" > (folder "/x.csv")
    for (row = 0; row < 600; row++) {
        x = 0.95 * x + rand() - 0.5; y = 0.95 * y + rand() - 0.5
        printf "%f,%f,%f\n", x + rand(), y + rand(), x - y + rand() > (folder "/x.csv")
        printf "%f,%f\n", x, y > (folder "/z.csv")
    }
}'
"$built/kalmind" evaluate --features "$work/x.csv" --states "$work/z.csv" --rate 50 --train 0..400 --test 400..600 \
    --decoders kalman,dkf-linear:lags=2,wiener --perturb all:5 --report "$work/report.html" >/dev/null

"$built/kalmind" recording report fixtures/session/session.xdf -o "$work/session.html" >/dev/null

cd tests/browser
KALMIND_URL="$url" KALMIND_FAKE_SESSION="$built/fake_session" KALMIND_REPORT="$work/report.html" \
    KALMIND_SESSION="$work/session.html" npm test
