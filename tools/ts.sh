#!/usr/bin/env bash
# Builds, lints and tests the TypeScript package, in Node.js and in Chromium. It needs a Node.js 18 or newer with npm, and
# brings what else it needs: a newer Node.js into bin/node, npm packages into ts/node_modules, and, where it may,
# Debian's chromium. If nothing has changed since it succeeded, it does nothing.
#
# usage: ts.sh [TEST...]
#
# Given files of tests, it installs what is needed and runs only those, also if nothing has changed.
set -eu -o pipefail
cd "$(dirname "$0")/.."

stamp=bin/.ts
done=bin/.ts-done

if ! node=$(bash tools/node.sh); then
	echo "ts: skipped, see above" >&2
	[ "${CI:-}" != true ]
	exit
fi
PATH=$node:$PATH

chromium=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
	echo "ts: installing chromium"
	(apt-get install -y -q --no-install-recommends chromium || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; }) > /dev/null
fi
browser=yes
if [ ! -x "$chromium" ]; then
	browser=
	echo "ts: the tests in a browser are skipped: there is no $chromium. Run: sudo apt-get install chromium (or set CHROMIUM)" >&2
	if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ]; then exit 1; fi
fi

# Everything that the outcome depends on is a file of these directories.
if [ $# = 0 ] && [ -e "$done" ] && [ -z "$(find ts tools/ts.sh tools/node.sh spec/vectors wire rpc session ws wsrpc jsonrpc conformance object cmd/chum examples/browser ./*.go go.mod \( -name node_modules -o -name dist -o -name LICENSE \) -prune -o -type f -newer "$done" -print -quit)" ]; then
	echo "ts: nothing has changed"
	exit
fi
[ $# != 0 ] || rm -f "$done"
mkdir -p bin
touch "$stamp" # what is changed while this runs is newer
cd ts
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch node_modules/.package-lock.json
fi
if [ $# != 0 ]; then
	npx vitest run "$@"
	exit
fi
npm run --silent build
npm run --silent check
npm run --silent test
cd ..
if [ "$browser" ]; then mv "$stamp" "$done"; fi
