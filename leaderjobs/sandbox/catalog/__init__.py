"""A REST API of nobody's: the same items by every kind of pagination, with children and soft deletions."""
