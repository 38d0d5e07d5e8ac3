"""A Stripe account: lists newest first, events for 30 days, idempotency keys, and money that moves."""
