#!/usr/bin/env bash
# Puts liblsl 1.18 into .liblsl/ (taken from the pylsl wheel, by version and hash) and pylsl into .venv/.
# Installs what the build needs from Debian where it is missing. Changes nothing outside the checkout otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
    echo "setup: cargo was not found. Install Rust 1.95 or newer (https://rustup.rs), then run make again." >&2
    exit 1
fi

need_packages=()
command -v python3 >/dev/null || need_packages+=(python3)
# a linker that can make a program
if ! echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null; then
    need_packages+=(gcc libc6-dev)
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages+=(python3-venv)
ldconfig="$(command -v ldconfig || echo /sbin/ldconfig)"
# read to the end: with grep -q a long list would break the pipe, which counts as a failure here
"$ldconfig" -p | grep 'libstdc++\.so\.6' >/dev/null || need_packages+=(libstdc++6)
[ ${#need_packages[@]} -eq 0 ] || setup/packages.sh "${need_packages[@]}"

# an environment that was left half made is made anew
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    python3 -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: -r setup/requirements.txt || {
    echo "setup: pip could not install pylsl 1.18.6; what it said stands above. If it found no fitting distribution:" >&2
    echo "setup: the package carries liblsl for x86-64 Linux with glibc 2.35 or newer; on another machine build" >&2
    echo "setup: liblsl 1.17 or newer, put liblsl.so.2 and a link liblsl.so into .liblsl/, and say that it is there" >&2
    echo "setup: with: touch .liblsl/ready" >&2
    exit 1
}
library=$(.venv/bin/python -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("pylsl").origin).parent / "lib" / "liblsl.so.2")')
mkdir -p .liblsl
# a running program may have the old file open: a new one takes its place instead of being written into it
cp "$library" .liblsl/liblsl.so.2.new
mv -f .liblsl/liblsl.so.2.new .liblsl/liblsl.so.2
ln -sfn liblsl.so.2 .liblsl/liblsl.so
touch .liblsl/ready
