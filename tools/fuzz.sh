#!/usr/bin/env bash
# Runs each fuzz target of the packages given for a while, one after the other. New inputs
# that fail are kept by go in the package's testdata/fuzz: commit them with the fix.
#
# usage: fuzz.sh TIME PACKAGE...
set -eu

time=$1
shift
targets=0
for package in $(go list "$@"); do
  names=$(go test -run '^$' -list '^Fuzz' "$package")
  for target in $(printf '%s\n' "$names" | grep '^Fuzz' || true); do
    echo "fuzz: $package $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
    targets=$((targets + 1))
  done
done
if [ "$targets" -eq 0 ]; then
  echo "fuzz: no fuzz target in $*" >&2
  exit 1
fi
echo "fuzz: $targets targets held for $time each"
