#!/usr/bin/env bash
# `make run`: one answer of the built-in model, then what to try next. Only the answer goes to standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
build/release/corbel run "$1"
cat >&2 << 'NEXT'

try next:
  build/release/corbel chat                            talk to it
  build/release/corbel run "What is prefill?"          another question (or: make run PROMPT="...")
  build/release/corbel chat ~/models/Llama-3.2-1B      a checkpoint folder of yours
  build/release/corbel verify                          prove that what runs here is right
  build/release/corbel doctor                          what this machine can do
NEXT
