#!/usr/bin/env bash
# Runs every fuzz target (ONLY="name name": these) for FUZZ_SECONDS (60), FUZZ_JOBS (1) at a time, from its seeds: fuzz/corpus/NAME
# and what tools/fuzz_seeds.py takes from the goldens, with the words of fuzz/NAME.dict where there is one. An input may take
# FUZZ_TIMEOUT (20) seconds by the clock: more where the machine has other work. What it learns stays in build/fuzz/corpus; a finding
# is written to build/fuzz/findings and shown with the command that repeats it. Exit code 1 when there is one.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60} jobs=${FUZZ_JOBS:-1}
python3 -B tools/fuzz_seeds.py build/fuzz/seeds || exit 1

run_one() {
  local program=$1 name learned findings log folder seeds=()
  name=$(basename "$program" _fuzz)
  learned=build/fuzz/corpus/$name findings=build/fuzz/findings/$name log=build/fuzz/$name.log
  mkdir -p "$learned" "$findings"
  for folder in fuzz/corpus/$name build/fuzz/seeds/$name; do [ ! -d "$folder" ] || seeds+=("$folder"); done
  [ ! -f "fuzz/$name.dict" ] || seeds+=("-dict=fuzz/$name.dict")
  if "$program" -max_total_time="$seconds" -timeout="${FUZZ_TIMEOUT:-20}" -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/" \
    "$learned" ${seeds[@]+"${seeds[@]}"} > "$log" 2>&1; then
    awk -v name="$name" -v seconds="$seconds" '/stat::number_of_executed_units/ {printf "%-24s %4d s ok, %d runs\n", name, seconds, $2}' "$log"
    return 0
  fi
  printf '%-24s FAILED\n' "$name"
  tail -n 40 "$log"
  echo "repeat with: $program $(find "$findings" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)"
  return 1
}

failed=0 count=0 running=0
for program in build/fuzz/fuzz/*_fuzz; do
  [ -x "$program" ] || continue
  name=$(basename "$program" _fuzz)
  case " ${ONLY:-$name} " in *" $name "*) ;; *) continue ;; esac
  if [ "$running" -ge "$jobs" ]; then
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  fi
  run_one "$program" &
  count=$((count + 1)) running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=$((failed + 1))
  running=$((running - 1))
done
if [ "$count" -eq 0 ]; then
  echo "tools/fuzz.sh: there is no fuzz target in build/fuzz; make fuzz builds them" >&2
  exit 1
fi
echo "$((count - failed)) targets clean, $failed with findings"
[ "$failed" -eq 0 ]
