"""Plaid: Items whose data is a log of what happened to each object; a cursor is a place in it."""
