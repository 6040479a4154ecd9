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

node=24.21.0 # what is brought where the one in the PATH is too old for the tools
stamp=bin/.ts
done=bin/.ts-done

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
	echo "ts: skipped: there is no node and npm (Node.js 18 or newer) in the PATH" >&2
	[ "${CI:-}" != true ]
	exit
fi

if ! node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 22 || (major == 22 && minor >= 12) ? 0 : 1)'; then
	arch=$(node -p 'process.arch')
	if [ "$(uname -s)" != Linux ]; then
		echo "ts: skipped: it needs Node.js 22.12 or newer in the PATH, which has $(node -v)" >&2
		[ "${CI:-}" != true ]
		exit
	fi
	package=node-linux-$arch
	bin=$PWD/bin/node/node_modules/$package/bin
	if [ "$("$bin/node" -v 2> /dev/null)" != "v$node" ]; then
		echo "ts: installing Node.js $node into bin/node"
		mkdir -p bin/node
		npm install --prefix bin/node --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error "$package@$node" > /dev/null
	fi
	PATH=$bin:$PATH
fi

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
if [ $# = 0 ] && [ -e "$done" ] && [ -z "$(find ts tools/ts.sh spec/vectors wire rpc session ws wsrpc jsonrpc conformance object cmd/chum ./*.go go.mod \( -name node_modules -o -name dist -o -name LICENSE \) -prune -o -type f -newer "$done" -print -quit)" ]; then
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
