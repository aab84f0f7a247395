#!/usr/bin/env bash
# Records goldens in the environment that setup.sh makes.   usage: record.sh [tiny] [real] [--only SUBSTRING]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/setup.sh")
export PYTHONDONTWRITEBYTECODE=1
exec nice -n 10 "$python" "$here/record.py" "$@"
