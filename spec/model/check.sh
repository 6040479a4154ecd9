#!/usr/bin/env bash
# Checks the models of this directory with spin: the models hold, and each of their mutants fails. Prints a table.
#
# usage: check.sh [MODEL]    one of credit, line, resume; all of them unless said otherwise
set -eu -o pipefail
cd "$(dirname "$0")"

if ! command -v spin > /dev/null; then
	if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
		echo "model: installing spin"
		(apt-get install -y -q spin || { apt-get update -q && apt-get install -y -q spin; }) > /dev/null
	else
		echo "model: NOT RUN: it needs spin 6.5. Run: sudo apt-get install spin gcc" >&2
		exit 1
	fi
fi
command -v gcc > /dev/null || { echo "model: NOT RUN: it needs a C compiler. Run: sudo apt-get install gcc" >&2; exit 1; }

# How each line is checked: safe, assertions and deadlock; ends, that nothing goes on for ever; the others name a temporal
# property, under weak fairness.
#
# model | mutant, or - | bounds | how | what must come out
beside="CAP=0 STREAMS=2 SENDERS=1 CREDIT=1 WINDOW=1"
both="CAP=0 STREAMS=1 SENDERS=2 CREDIT=1 WINDOW=1"
restart="CALLS=2 CUTS=1 RESTARTS=1 EXPIRES=1"
table="
line   | -                    | CALLERS=3 ROUNDS=2              | safe  | holds
line   | LINE_NOT_HELD        | CALLERS=3 ROUNDS=2              | safe  | assertion
line   | CHECKED_BEFORE       | CALLERS=3 ROUNDS=2              | safe  | assertion
line   | NO_HANDOVER          | CALLERS=3 ROUNDS=2              | safe  | assertion
line   | NO_KICK              | CALLERS=3 ROUNDS=2              | safe  | assertion
credit | -                    | $both                           | safe  | holds
credit | -                    | ${both/CAP=0/CAP=1}             | safe  | holds
credit | -                    | ${beside/CREDIT=1 WINDOW=1/CREDIT=3 WINDOW=2} | safe | holds
credit | -                    | $beside                         | calls | holds
credit | -                    | $beside                         | goes  | holds
credit | -                    | ${beside/CAP=0/CAP=1}           | calls | holds
credit | -                    | ${beside/CAP=0/CAP=1}           | goes  | holds
credit | -                    | $both STEADY                    | goes  | holds
credit | READER_WRITES        | $both                           | safe  | deadlock
credit | READER_WAITS         | $beside                         | calls | property
credit | CREDIT_IGNORED       | $beside                         | safe  | assertion
credit | CREDIT_ON_RECEIPT    | $beside                         | safe  | assertion
credit | CREDIT_TOO_LATE      | $beside                         | goes  | property
credit | WINDOW_IGNORED       | ${beside/CREDIT=1/CREDIT=3}     | safe  | assertion
credit | ACK_ON_CONSUMPTION   | $beside                         | goes  | property
credit | ACK_WAITS_FOR_WINDOW | $both STEADY                    | goes  | property
credit | UNFAIR               | $beside                         | goes  | property
resume | -                    | CALLS=2 CUTS=2                  | safe  | holds
resume | -                    | CALLS=3 CUTS=1                  | safe  | holds
resume | -                    | CALLS=2 CUTS=2 EXPIRES=1        | safe  | holds
resume | -                    | $restart                        | safe  | holds
resume | -                    | $restart                        | ends  | holds
resume | RESEND_LATER         | CALLS=2 CUTS=2                  | safe  | assertion
resume | RESEND_EARLIER       | CALLS=2 CUTS=2                  | safe  | assertion
resume | COUNTED_EARLY        | CALLS=2 CUTS=2                  | safe  | deadlock
resume | CONTROL_COUNTED      | CALLS=2 CUTS=2                  | safe  | assertion
resume | KEPT_AFTER_WRITE     | CALLS=2 CUTS=2                  | safe  | deadlock
resume | FREED_ON_WRITE       | CALLS=2 CUTS=2                  | safe  | assertion
resume | ACK_ONLY_RIDES       | CALLS=2 CUTS=2                  | safe  | deadlock
resume | NOT_FENCED           | CALLS=2 CUTS=2                  | safe  | assertion
resume | PROOF_REUSABLE       | CALLS=2 CUTS=2                  | safe  | assertion
resume | TRY_NOT_COUNTED      | CALLS=2 CUTS=2                  | safe  | assertion
resume | UNKNOWN_AS_NEW       | $restart                        | safe  | assertion
resume | NO_PER_ATTEMPT       | $restart                        | safe  | assertion
resume | GIVES_UP_HALF        | $restart                        | safe  | assertion
"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export work

# check runs one line of the table, in a directory of its own, and prints its result.
check() {
	IFS='|' read -r model mutant bounds how want <<< "$1"
	read -r model <<< "$model"; read -r mutant <<< "$mutant"; read -r how <<< "$how"; read -r want <<< "$want"
	local dir defs=() build=(-DSAFETY -DNOCLAIM) run=(-n -m2000000) start=${EPOCHREALTIME/./} got states
	dir=$(mktemp -d "$work/XXXXXX")
	for d in $bounds; do defs+=("-D$d"); done
	[ "$mutant" = - ] || defs+=("-D$mutant")
	case $how in
	safe) ;;
	ends) build=(-DNP -DNOCLAIM) run+=(-l) ;;
	*) build=(-DNFAIR=3 -DNOREDUCE) run+=(-a -f -N "$how") ;;
	esac
	cp "$model.pml" "$dir"
	(cd "$dir" && spin "${defs[@]}" -a "$model.pml" > spin.txt && gcc -O1 -w -DVECTORSZ=512 "${build[@]}" -o pan pan.c && ./pan "${run[@]}" > pan.txt 2>&1) || true
	got=broken
	if grep -qs 'errors: 0$' "$dir/pan.txt"; then got=holds; fi
	if grep -qs 'max search depth too small' "$dir/pan.txt"; then got=too-deep; fi
	if grep -qs 'assertion violated' "$dir/pan.txt"; then got=assertion; fi
	if grep -qs 'invalid end state' <(grep '^pan:1' "$dir/pan.txt" || true); then got=deadlock; fi
	if grep -qs '\(acceptance\|non-progress\) cycle' <(grep '^pan:1' "$dir/pan.txt" || true); then got=property; fi
	[ "$got" != broken ] || cat "$dir"/*.txt >&2
	states=$(awk '/states, stored/ { print $1 }' "$dir/pan.txt" || true)
	local took=$(((${EPOCHREALTIME/./} - start) / 10000)) ok=yes
	[ "$got" = "$want" ] || ok="NO: must be $want"
	printf '%-7s %-21s %-6s %-10s %9s %6s.%02d s  %-3s %s\n' "$model" "$mutant" "$how" "$got" "$states" $((took / 100)) $((took % 100)) "$ok" "$(echo $bounds)"
	rm -r "$dir"
	[ "$got" = "$want" ] || touch "$work/failed"
}
export -f check

printf '%-7s %-21s %-6s %-10s %9s %11s  %-3s %s\n' model mutant how result states time ok bounds
grep "^${1:-}" <<< "$table" | grep '|' | tr '\n' '\0' | xargs -0 -P "$(nproc)" -I LINE bash -c 'check "$1"' _ LINE
if [ -e "$work/failed" ]; then
	echo "model: a model does not hold, or a mutant is not caught" >&2
	exit 1
fi
