#!/usr/bin/env bash
# An hour of refits every few seconds, in minutes: what it adds to a recording, whether it replays bit for bit, and in how much memory.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo test --locked --workspace --lib -- --ignored --nocapture --test-threads 1 an_hour_of_refits
