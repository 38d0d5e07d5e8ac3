"""A good configuration that holds every kind of value, for tests that spoil it."""

from __future__ import annotations

SECRET = "hunter2-never-shown"

GOOD = f"""\
[cluster]
name = "acme"
coordinator = "zookeeper://zk1:2181,zk2:2181,zk3:2181/leaderjobs"
database = "postgresql://leaderjobs:{SECRET}@db/acme"
session_timeout = "15s"
concurrency = 9

[connections.household]
connector = "plaid"
base_url = "https://sandbox.plaid.com"
client_id = {{ env = "PLAID_CLIENT_ID" }}
secret = {{ file = "/run/secrets/plaid" }}
access_token = "{SECRET}"
page_size = 100

[syncs.household]
connection = "household"
streams = ["accounts", "transactions"]
max_attempts = 3
"""
