#!/usr/bin/env bash
# Talks to a model by name: builds what is missing, then starts `corbel chat`.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat << 'USAGE'
usage: ./run.sh --model NAME [flags of corbel chat]

NAME is a Hugging Face folder, ORG/NAME in the Hugging Face cache or under ~/models, an alias such as llama-3.2-1b or
qwen3-0.6b, or "pico", the built-in model.

  ./run.sh --model pico
  ./run.sh --model ~/models/Llama-3.2-1B-Instruct --temperature 0.7
  echo "What is a KV cache?" | ./run.sh --model pico
USAGE
}
refuse() {
  echo "run.sh: $1" >&2
  usage >&2
  exit 2
}

model="" flags=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --model) [ $# -ge 2 ] || refuse "--model needs a name"; model=$2; shift 2 ;;
    --model=*) model=${1#--model=}; shift ;;
    *) flags+=("$1"); shift ;;
  esac
done
[ -n "$model" ] || refuse "which model? --model is missing"

[ -x build/release/corbel ] || make --no-print-directory build >&2
# A name that is nowhere is wrong usage; a checkpoint that is there and cannot be loaded is not.
status=0
build/release/corbel chat --model "$model" ${flags[@]+"${flags[@]}"} || status=$?
if [ "$status" -eq 1 ] && [ "$model" != pico ] && [ ! -e "${model/#\~/$HOME}" ]; then
  exit 2
fi
exit "$status"
