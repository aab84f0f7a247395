#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60), from its seeds in fuzz/corpus/NAME. What it learns stays in build/fuzz/corpus; a
# finding is written to build/fuzz/findings and shown with the command that repeats it. Exit code 1 when there is one.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
failed=0 count=0
for program in build/fuzz/fuzz/*_fuzz; do
  [ -x "$program" ] || continue
  name=$(basename "$program" _fuzz)
  seeds=()
  [ ! -d "fuzz/corpus/$name" ] || seeds=("fuzz/corpus/$name")
  learned=build/fuzz/corpus/$name findings=build/fuzz/findings/$name
  mkdir -p "$learned" "$findings"
  count=$((count + 1))
  log=build/fuzz/$name.log
  printf '%-24s %4d s ' "$name" "$seconds"
  if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/" \
    "$learned" ${seeds[@]+"${seeds[@]}"} > "$log" 2>&1; then
    awk '/stat::number_of_executed_units/ {printf "ok, %d runs\n", $2}' "$log"
  else
    failed=$((failed + 1))
    echo "FAILED"
    tail -n 40 "$log"
    echo "repeat with: $program $(find "$findings" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)"
  fi
done
if [ "$count" -eq 0 ]; then
  echo "tools/fuzz.sh: there is no fuzz target in build/fuzz; make fuzz builds them" >&2
  exit 1
fi
echo "$((count - failed)) targets clean, $failed with findings"
[ "$failed" -eq 0 ]
