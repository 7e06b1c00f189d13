#!/usr/bin/env bash
# Puts what the browser test and the client in JavaScript need into tests/browser/node_modules, and Chromium, Node.js
# and npm onto the machine where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

need_packages=()
[ -x "${KALMIND_CHROMIUM:-/usr/bin/chromium}" ] || need_packages+=(chromium)
command -v node >/dev/null || need_packages+=(nodejs)
command -v npm >/dev/null || need_packages+=(npm)
[ ${#need_packages[@]} -eq 0 ] || setup/packages.sh "${need_packages[@]}"

cd tests/browser
npm ci --no-audit --no-fund --loglevel=error
touch node_modules/ready
