#!/usr/bin/env bash
# Puts what judges the OpenAPI and AsyncAPI documents into tests/documents/node_modules, and Node.js and npm onto the
# machine where they are missing. No package's own scripts are run.
set -euo pipefail
cd "$(dirname "$0")/.."

need_packages=()
command -v node >/dev/null || need_packages+=(nodejs)
command -v npm >/dev/null || need_packages+=(npm)
[ ${#need_packages[@]} -eq 0 ] || setup/packages.sh "${need_packages[@]}"

cd tests/documents
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch node_modules/ready
