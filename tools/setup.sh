#!/usr/bin/env bash
# Installs the Debian packages that a purpose needs and that are missing, as root or through sudo; touches nothing else.
#   usage: tools/setup.sh [build|test|bench|lint|fuzz|golden|e2e]...      (build, when nothing is named)
# With nothing missing it costs one dpkg-query and needs no network.
set -euo pipefail
cd "$(dirname "$0")"

purposes=${*:-build}
wanted=() reasons=() missing=()
declare -A installed
while read -r name purpose reason; do
  case $name in '' | '#'*) continue ;; esac
  case " $purposes " in *" $purpose "*) wanted+=("$name"); reasons+=("$reason") ;; esac
done < packages.txt
if [ ${#wanted[@]} -eq 0 ]; then
  echo "tools/setup.sh: no package is needed for \"$purposes\"; known: build, test, bench, lint, fuzz, golden, e2e" >&2
  exit 2
fi
if ! command -v dpkg-query > /dev/null; then
  echo "tools/setup.sh: this is not a Debian system. Install these yourself, then run cmake --preset release:" >&2
  echo "  ${wanted[*]}" >&2
  exit 1
fi

while read -r name state; do [ "$state" = installed ] && installed[$name]=1; done \
  < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2> /dev/null || true)
for i in "${!wanted[@]}"; do
  [ -n "${installed[${wanted[i]}]:-}" ] && continue
  [ ${#missing[@]} -gt 0 ] || echo "missing packages:"
  missing+=("${wanted[i]}")
  printf '  %-19s %s\n' "${wanted[i]}" "${reasons[i]}"
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "installing them needs root, and there is no sudo. As root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt reports its progress as kind:package:percent:text, one line on a terminal, tenths elsewhere; everything else goes to the log.
# Progress has descriptor 3, made behind sudo, which closes such. Not standard output: packages' scripts write there, and apt makes what
# it reports on non-blocking, so that their output fails when we read slowly.
show_progress() {
  local line kind percent text shown=-1
  while IFS= read -r line; do
    IFS=: read -r kind _ percent text <<< "$line"
    case $kind in pmstatus | dlstatus) ;; *) echo "$line" >> "$log"; continue ;; esac
    percent=${percent%%.*}
    if [ -t 1 ]; then
      printf '\r\033[K  %3d%%  %.90s' "$percent" "$text"
    elif [ "$kind" = pmstatus ] && [ $((percent / 10)) -ne "$shown" ]; then
      shown=$((percent / 10))
      printf '  %3d%%  %.90s\n' "$percent" "$text"
    fi
  done
  [ ! -t 1 ] || printf '\r\033[K'
}
apt() {
  # shellcheck disable=SC2016  # expanded by the shell behind sudo
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c 'log=$1; shift; exec apt-get -q -y -o APT::Status-Fd=3 "$@" 3>&1 >> "$log" 2>&1' \
    apt "$log" -o Dpkg::Use-Pty=0 "$@" | show_progress
}
echo "installing them with ${as_root[*]:+sudo }apt-get:"
apt update || echo "apt-get update failed; trying with the lists that are there"
if ! apt install --no-install-recommends "${missing[@]}"; then
  tail -n 15 "$log" >&2
  echo "tools/setup.sh: apt-get failed (above). To try by hand: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "installed ${#missing[@]} packages"
