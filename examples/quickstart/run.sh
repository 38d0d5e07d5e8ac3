#!/usr/bin/env bash
# The commands of a user, one after the other: embedded servers, schema, two workers, one sync, a look.
# Plaid is a stand-in on 127.0.0.1. All of it lives in a temporary folder and is gone at the end.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$here/../../.venv/bin:$PATH
if ! command -v leaderjobs > /dev/null; then
  echo "leaderjobs is not installed here: run make demo in the checkout, or pip install '.[embedded]'" >&2
  exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/leaderjobs-quickstart.XXXXXX")
export XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state LEADERJOBS_CONFIG=$here/leaderjobs.toml
children=()
front=
finish() {
  trap '' INT TERM
  for pid in $front "${children[@]}"; do kill "$pid" 2> /dev/null || true; done
  # Once more after the time that they may need: a process that bash has just forked can lose the first signal.
  for _ in {1..100}; do
    kill -0 $front "${children[@]}" 2> /dev/null || break
    sleep 0.1
  done
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
coproc standin { exec python -m leaderjobs.sandbox --transactions 5000 --latency 5ms; }
children+=("$standin_PID")
read -r ready <&"${standin[0]}"
told() { python -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$ready" "$1"; }
LEADERJOBS_CONNECTIONS_HOUSEHOLD_BASE_URL=$(told url)
PLAID_CLIENT_ID=$(told client_id)
PLAID_SECRET=$(told secret)
PLAID_ACCESS_TOKEN=$(told access_token)
export LEADERJOBS_CONNECTIONS_HOUSEHOLD_BASE_URL PLAID_CLIENT_ID PLAID_SECRET PLAID_ACCESS_TOKEN

step leaderjobs dev start
step leaderjobs migrate
for name in one two; do
  printf '\n$ leaderjobs run --id %s &\n' "$name"
  leaderjobs run --id "$name" 2> "$work/$name.log" &
  children+=("$!")
done
step leaderjobs enqueue household --wait
step leaderjobs leader show
step leaderjobs status
echo
