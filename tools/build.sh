#!/usr/bin/env bash
# Builds targets of one preset in build/PRESET, with progress.
#   usage: tools/build.sh PRESET TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
folder=build/$preset

# A first configure without the test packages leaves the tests out; when they are wanted, CMake has to look again.
wants_tests_now() { [ "$1" = all ] && grep -qs '^CORBEL_TESTS:BOOL=ON' "$folder/CMakeCache.txt" && grep -qs '^GTest_DIR:PATH=GTest_DIR-NOTFOUND' "$folder/CMakeCache.txt"; }

if [ ! -f "$folder/build.ninja" ] || [ CMakePresets.json -nt "$folder/build.ninja" ] || wants_tests_now "$1"; then
  mkdir -p build
  if ! cmake --preset "$preset" > "build/configure-$preset.log" 2>&1; then
    cat "build/configure-$preset.log" >&2
    echo "tools/build.sh: configuring $folder failed (above)" >&2
    exit 1
  fi
fi
exec ninja -C "$folder" ${JOBS:+-j "$JOBS"} "$@"
