"""An outside API, page by page: knows no database and no cluster.

A connector turns a cursor into batches. It never retries by itself beyond what `http` does for
requests that provably were not answered, never sleeps except through its context (so that the end of
a term wakes it), and raises the errors of `leaderjobs.errors` sorted by what the runner should do.
"""
