#!/usr/bin/env bash
# Installs Debian packages, as root or through sudo, and says so.
set -euo pipefail
echo "setup: installing from Debian: $*" >&2
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
}
