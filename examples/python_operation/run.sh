#!/usr/bin/env bash
# An operation written in Python, at a carrier that is a stand-in on 127.0.0.1 and loses an answer.
# All of it lives in a temporary folder and is gone at the end.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$here/../../.venv/bin:$PATH
if ! command -v leaderjobs > /dev/null; then
  echo "leaderjobs is not installed here: run make demo in the checkout, or pip install '.[embedded]'" >&2
  exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/leaderjobs-labels.XXXXXX")
export XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state LEADERJOBS_CONFIG=$here/leaderjobs.toml
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
children=()
front=
finish() {
  trap '' INT TERM
  for pid in $front "${children[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in $front "${children[@]}"; do wait "$pid" || true; done
  leaderjobs dev stop
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# In the background and waited for, because bash would keep a signal until a command in front has ended.
step() {
  printf '\n$ %s\n' "$*"
  "$@" &
  front=$!
  wait "$front"
  front=
}

# The stand-in says on one line of JSON where it is, and ends with its standard input.
coproc standin { exec python -m leaderjobs.sandbox orders; }
children+=("$standin_PID")
read -r ready <&"${standin[0]}"
told() { python -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$ready" "$1"; }
LEADERJOBS_CONNECTIONS_CARRIER_BASE_URL=$(told url)
CARRIER_AUTHORIZATION="Bearer $(told token)"
export LEADERJOBS_CONNECTIONS_CARRIER_BASE_URL CARRIER_AUTHORIZATION
steer() {
  python -c 'import sys, urllib.request as r; print(r.urlopen(r.Request(*sys.argv[1:2], data=sys.argv[2].encode() if sys.argv[2:] else None)).read().decode())' \
    "$LEADERJOBS_CONNECTIONS_CARRIER_BASE_URL/_sandbox/$1" "${@:2}"
}

step leaderjobs dev start
step leaderjobs migrate
for name in one two; do
  printf '\n$ leaderjobs run --id %s &\n' "$name"
  leaderjobs run --id "$name" 2> "$work/$name.log" &
  children+=("$!")
done
printf '\nThe carrier will print the first label and lose the answer.\n'
steer faults '[{"kind": "reset", "method": "POST", "after": true, "count": 1}]' > /dev/null
step leaderjobs enqueue carrier.create_label order=A1001 parcel=1 grams=850 --wait
step leaderjobs enqueue carrier.create_label order=A1001 parcel=2 grams=20000 --wait
step leaderjobs effects list
printf '\nWhat the carrier has printed:\n'
steer rows
