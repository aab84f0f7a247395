#!/usr/bin/env bash
# Makes a scratch Python environment with pinned packages (the libraries that tools compare Corbel with). It lives outside the
# repository and is never needed to build, test or run Corbel. Prints the path of its python.
#   usage: scratch_python.sh NAME PACKAGE==VERSION...      in $CORBEL_SCRATCH, else ~/.cache/corbel
set -euo pipefail
name=$1
shift
wanted="$*"
dir=${CORBEL_SCRATCH:-$HOME/.cache/corbel}/$name-venv
python=$dir/bin/python
if [ ! -x "$python" ] || [ "$(cat "$dir/corbel-pins" 2> /dev/null)" != "$wanted" ]; then
  echo "making $dir ($wanted)" >&2
  python3 -m venv "$dir" >&2
  "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2
  echo "$wanted" > "$dir/corbel-pins"
fi
echo "$python"
