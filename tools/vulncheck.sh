#!/usr/bin/env bash
# Runs govulncheck over the packages given, with the first database that can be had:
#   $GOVULNDB: a URL, a directory, or a .tgz of one
#   a .tgz kept beside the clone, as ../*/vulndb/vulndb-*.tgz (the newest by name)
#   the public one, if it answers
# Without any it says "skipped" and why, and succeeds. A vulnerability that our code reaches is a failure.
#
# usage: vulncheck.sh GOVULNCHECK PACKAGE...
set -eu

govulncheck=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

db=${GOVULNDB:-}
if [ -z "$db" ]; then
  for archive in ../*/vulndb/vulndb-*.tgz; do
    [ -f "$archive" ] && db=$archive
  done
fi

case "$db" in
  "") source="the public database" ;;
  *://*) source=$db ;;
  *)
    source=$db
    if [ -f "$db" ]; then
      tar -xzf "$db" -C "$scratch"
      db=$scratch
    fi
    # The root of a database is where index/modules.json is.
    index=$(find "$db" -path '*/index/modules.json*' -print -quit 2>/dev/null || true)
    if [ -z "$index" ]; then
      echo "govulncheck: $source holds no vulnerability database (no index/modules.json in it); give GOVULNDB a URL, a directory or a .tgz of one" >&2
      exit 2
    fi
    db=file://$(cd "$(dirname "$index")/.." && pwd)
    ;;
esac

status=0
"$govulncheck" ${db:+-db "$db"} "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
if [ -z "$db" ] && grep -q 'fetching vulnerabilities' "$scratch/err"; then
  echo "govulncheck: skipped: $(tail -n 1 "$scratch/err")"
  echo "govulncheck: to run it, set GOVULNDB to a URL, a directory or a .tgz of a vulnerability database"
  exit 0
fi
cat "$scratch/out"
cat "$scratch/err" >&2
echo "govulncheck: database: $source"
exit "$status"
