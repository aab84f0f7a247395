#!/usr/bin/env bash
# Makes share/pico anew: corpus, tokenizer, weights. Needs a Python with torch (PYTHON=...); about two hours on two cores.
# Corpus and tokenizer come out bit for bit; weights to about the loss that share/pico/README.md states.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
work=${WORK:-$here/../../build/pico}
out=${OUT:-$here/../../share/pico}
mkdir -p "$work" "$out"

"$python" "$here/corpus.py" --out "$work/first.jsonl" --check "$work/first.jsonl"
"$python" "$here/corpus.py" --out "$work/second.jsonl" --seed 2 --mix second --check "$work/second.jsonl"
"$python" "$here/tokenizer.py" --corpus "$work/first.jsonl" --out "$out"

# train CORPUS OPTION...: both ranks, from the last checkpoint on
train() {
  local corpus=$1 first
  shift
  rm -f "$work/rendezvous"
  local command=("$python" -u "$here/train.py" --corpus "$work/$corpus.jsonl" --tokenizer "$out" --work "$work" --out "$out" --ranks 2)
  OMP_NUM_THREADS=1 "${command[@]}" --rank 1 "$@" &
  first=$!
  OMP_NUM_THREADS=1 "${command[@]}" --rank 0 "$@"
  wait "$first"
}
# The first part keeps the learning rate, the second lets it fall to zero.
train first --steps 1250 --decay 1
train second --steps 1900 --decay 650
"$python" "$here/grade.py" --python --model "$out"
