#!/usr/bin/env bash
# The scratch environment that `make golden` records with; prints the path of its python.
# Versions are pinned: a golden names the versions it was recorded with, and another version may round otherwise.
set -euo pipefail
exec "$(dirname "$0")/../scratch_python.sh" golden torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
