#!/usr/bin/env bash
# Runs every benchmark program of build/bench, beside the limits of this machine measured in the same minute.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x build/bench/corbel ]; then
  echo "limits of this machine:"
  build/bench/corbel bench --limits
fi
found=0
for program in build/bench/bench/*_bench; do
  [ -x "$program" ] || continue
  found=1
  echo
  echo "$(basename "$program"):"
  "$program" --benchmark_counters_tabular=true
done
[ "$found" -eq 1 ] || { echo "tools/bench.sh: there is no benchmark program in build/bench" >&2; exit 1; }
