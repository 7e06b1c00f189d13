#!/bin/sh
# Dead arrays are told within half a second, and living ones are taken for dead at most once an hour: an hour of each kind of
# simulated participant, and recorded features where KALMIND_DATA names them. Prints the figures; ends with 1 on a miss.
#
#     tests/endurance/implausible_signals.sh [HOURS] [SEED]
set -eu
cd "$(dirname "$0")/../.."
run() {
  cargo bench --quiet --offline --workspace --bench implausible_signals -- "$@"
}
missed=0
run cost
run faults 8
run hours "${1:-1}" "${2:-1}" || missed=1
if [ -n "${KALMIND_DATA:-}" ]; then
  run table "$KALMIND_DATA/flint/x.csv" 10 || missed=1
else
  echo "KALMIND_DATA is not set: recorded features were left out"
fi
exit $missed
