#!/bin/sh
# Run once by the Postgres image, in an empty data directory: the workers' role is no superuser.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set password `cat /run/secrets/leaderjobs_password`
CREATE ROLE leaderjobs LOGIN PASSWORD :'password';
CREATE DATABASE leaderjobs OWNER leaderjobs;
SQL
