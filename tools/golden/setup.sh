#!/usr/bin/env bash
# Makes the scratch environment that `make golden` records with. It lives outside the repository and is never needed
# to build, test or run Corbel. Prints the path of its python.
#   usage: setup.sh [DIR]      DIR defaults to $CORBEL_GOLDEN_VENV, else ~/.cache/corbel/golden-venv
# Versions are pinned: a golden names the versions it was recorded with, and another version may round otherwise.
set -euo pipefail
dir=${1:-${CORBEL_GOLDEN_VENV:-$HOME/.cache/corbel/golden-venv}}
python=$dir/bin/python
wanted="torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6"
if [ ! -x "$python" ] || [ "$(cat "$dir/corbel-pins" 2>/dev/null)" != "$wanted" ]; then
  echo "golden: making $dir ($wanted)" >&2
  python3 -m venv "$dir" >&2
  # shellcheck disable=SC2086  # one word per package
  "$python" -m pip install --quiet --disable-pip-version-check $wanted >&2
  echo "$wanted" > "$dir/corbel-pins"
fi
echo "$python"
