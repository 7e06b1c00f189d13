#!/usr/bin/env bash
# Puts liblsl 1.18 into .liblsl/ (taken from the pylsl wheel, by version and hash) and pylsl into .venv/.
# Installs what the build needs from Debian where it is missing. Changes nothing outside the checkout otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

need_packages=()
command -v cc >/dev/null || need_packages+=(gcc libc6-dev)
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
python3 -m venv "$probe/venv" >/dev/null 2>&1 || need_packages+=(python3-venv)
ldconfig -p | grep -q 'libstdc++.so.6' || need_packages+=(libstdc++6)
[ ${#need_packages[@]} -eq 0 ] || setup/packages.sh "${need_packages[@]}"

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: -r setup/requirements.txt || {
    echo "setup: pylsl 1.18.6 could not be installed. It carries liblsl for x86-64 Linux with glibc 2.35 or newer;" >&2
    echo "setup: on another machine build liblsl 1.17 or newer, and put liblsl.so.2 and a link liblsl.so into .liblsl/." >&2
    exit 1
}
library=$(.venv/bin/python -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("pylsl").origin).parent / "lib" / "liblsl.so.2")')
mkdir -p .liblsl
cp -f "$library" .liblsl/liblsl.so.2
ln -sf liblsl.so.2 .liblsl/liblsl.so
touch .liblsl/ready
