#!/usr/bin/env bash
# Takes away what `make install` laid down, and the folders that are empty then, but not those that every system has.
#   usage: tools/uninstall.sh PREFIX [DESTDIR]
set -euo pipefail
prefix=$1 stage=${2:-}
root=$stage$prefix
[ -d "$root" ] || { echo "tools/uninstall.sh: there is no $root" >&2; exit 1; }
cd "$root"
rm -f bin/corbel lib/systemd/system/corbel.service
rm -rf share/corbel/pico share/doc/corbel/deploy

# Removes folders that are empty, from the last one of a path up to here.
prune() { [ ! -d "$1" ] || rmdir -p --ignore-fail-on-non-empty "$1"; }
if [ -z "$stage" ] && [[ $prefix =~ ^/usr(/local)?/?$ ]]; then
  (cd lib && prune systemd/system)
  (cd share && prune corbel && prune doc/corbel)
  exit
fi
for folder in bin lib/systemd/system share/corbel share/doc/corbel; do prune "$folder"; done
cd / && rmdir --ignore-fail-on-non-empty "$root"
if [ -n "$stage" ] && [ ! -d "$root" ]; then
  above=$(dirname "${prefix#/}")
  cd "$stage" && { [ "$above" = . ] || prune "$above"; }
fi
