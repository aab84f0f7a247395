#!/usr/bin/env bash
# Compares the built command with other libraries on random texts: COUNT (100000) per kind of tokenizer, from SEED (1).
# ONLY=part of a kind's name; JOBS (1) kinds side by side; REPORT=file writes the table.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(tools/scratch_python.sh text tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0)
data=${CORBEL_TEST_DATA:-../shared/data}
arguments=(--corbel build/release/corbel --work build/fuzz-tokenizer --count "${COUNT:-100000}" --seed "${SEED:-1}" --only "${ONLY:-}" --jobs "${JOBS:-1}")
[ ! -d "$data/tokenizers" ] || arguments+=(--data "$data")
[ -z "${REPORT:-}" ] || arguments+=(--report "$REPORT")
exec "$python" -B tools/fuzz_tokenizer/run.py "${arguments[@]}"
