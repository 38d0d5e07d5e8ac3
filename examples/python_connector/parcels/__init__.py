"""A carrier's parcels, for leaderjobs."""
