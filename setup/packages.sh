#!/usr/bin/env bash
# Installs Debian packages, as root or through sudo, and says so.
set -euo pipefail
echo "setup: installing from Debian: $*" >&2

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: that needs root, and there is no sudo here. As root: apt-get install $*" >&2
        exit 1
    fi
    as_root=(sudo)
fi
if ! command -v apt-get >/dev/null; then
    echo "setup: there is no apt-get here. Install what these Debian packages hold: $*" >&2
    exit 1
fi

as_root+=(env DEBIAN_FRONTEND=noninteractive)
install=("${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@")
# the lists may be old or missing, so a first failure is tried again with new ones
if ! "${install[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update -qq >&2
    "${install[@]}" >&2
fi
