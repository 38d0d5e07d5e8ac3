"""Stripe: what is pulled from one account, and what can be done through it.

Pulling: `pull` walks a list down once and then upward beside the events, and holds the order keys and the
races; `pull_place` is its marker, `pull_source` what is asked for, `rows` what an answer holds,
`streams…` the tables. Acting: `operation` and `operations`; `movements` lists what took effect, for
`effects reconcile`. `errors` reads refusals for both.
"""
