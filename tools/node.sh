#!/usr/bin/env bash
# Prints the directory of a Node.js that is new enough for the TypeScript package: of the one in the PATH, or else of
# one that it brings into bin/node from npm. If there is none to be had, it says why and fails.
#
# usage: node.sh
set -eu -o pipefail
cd "$(dirname "$0")/.."

bring=24.21.0 # what is brought where the one in the PATH is too old

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
	echo "there is no node and npm (Node.js 18 or newer) in the PATH" >&2
	exit 1
fi
# From this one on, Node.js runs TypeScript as it is.
if node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 22 || (major == 22 && minor >= 18) ? 0 : 1)'; then
	dirname "$(command -v node)"
	exit
fi
if [ "$(uname -s)" != Linux ]; then
	echo "it needs Node.js 22.18 or newer in the PATH, which has $(node -v)" >&2
	exit 1
fi
package=node-linux-$(node -p 'process.arch')
bin=$PWD/bin/node/node_modules/$package/bin
if [ "$("$bin/node" -v 2> /dev/null)" != "v$bring" ]; then
	echo "installing Node.js $bring into bin/node" >&2
	mkdir -p bin/node
	npm install --prefix bin/node --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error "$package@$bring" > /dev/null
fi
echo "$bin"
