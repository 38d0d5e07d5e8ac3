#!/bin/sh
# Make the secret files of compose.yaml beside this script; what is already there stays as it is.
# Plaid's three come from PLAID_CLIENT_ID, PLAID_SECRET and PLAID_ACCESS_TOKEN; without them, they are
# those of the stand-in in sandbox.yaml, which no Plaid server knows.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# The containers' users must be able to read the files, and a bind mount keeps the mode of the host's file.
# The folder, which is not mounted, keeps everybody else of this host out.
keep() {
  if [ -e "$1" ]; then
    echo "kept  compose/secrets/$1"
  else
    printf '%s' "$2" > "$1.new"
    chmod 0444 "$1.new"
    mv "$1.new" "$1"
    echo "wrote compose/secrets/$1"
  fi
}

keep postgres_password "$(random)"
keep leaderjobs_password "$(random)"
keep database_url "postgresql://leaderjobs:$(cat leaderjobs_password)@postgres:5432/leaderjobs"
keep coordinator_url "zookeeper://leaderjobs:$(random)@zk1:2181,zk2:2181,zk3:2181/leaderjobs"
if [ -n "${PLAID_CLIENT_ID:-}${PLAID_SECRET:-}${PLAID_ACCESS_TOKEN:-}" ]; then
  keep plaid_client_id "${PLAID_CLIENT_ID:?}"
  keep plaid_secret "${PLAID_SECRET:?}"
  keep plaid_access_token "${PLAID_ACCESS_TOKEN:?}"
else
  keep plaid_client_id 171c8f12f4eac08e209dc69c
  keep plaid_secret 1c8dd060c078e7579a067ed882b7a0
  keep plaid_access_token access-sandbox-56365cb8-d1d2-4709-95a1-dff3f3cca1de
fi
