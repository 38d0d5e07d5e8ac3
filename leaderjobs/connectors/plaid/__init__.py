"""Plaid: the accounts and transactions of one Item.

The pages of one update are worth something together or not at all: `connector` says how they are staged,
applied and given up. `streams` describes the tables, `errors` sorts Plaid's codes by who has to act.
"""
