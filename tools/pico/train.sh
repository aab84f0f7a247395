#!/usr/bin/env bash
# Makes share/pico anew: corpus, tokenizer, weights. Needs a Python with torch (PYTHON=...); about two hours on two cores.
# Corpus and tokenizer come out bit for bit; weights to about the loss that share/pico/README.md states.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
work=${WORK:-$here/../../build/pico}
out=${OUT:-$here/../../share/pico}
mkdir -p "$work" "$out"

"$python" "$here/corpus.py" --out "$work/corpus.jsonl" --check "$work/corpus.jsonl"
"$python" "$here/tokenizer.py" --corpus "$work/corpus.jsonl" --out "$out"

rm -f "$work/rendezvous"
train() {
  OMP_NUM_THREADS=1 "$python" -u "$here/train.py" --corpus "$work/corpus.jsonl" --tokenizer "$out" --work "$work" \
    --out "$out" --ranks 2 --rank "$1" "${@:2}"
}
train 1 "$@" &
train 0 "$@"
wait
"$python" "$here/grade.py" --python --model "$out"
