"""Any API that speaks HTTP and JSON, as the configuration declares it.

Reading: `stream_settings` is what can be declared, `streams` the loop over parents and pages, `place` the
marker, `request` and `pagination` write the next request, `records` and `rows` cut an answer into rows
without touching their bytes, `times` reads and writes the values that are asked by, `client` sends,
`auth` proves who we are, and `errors` sorts what comes back. Acting: `operation`. `connector` puts the
two together; no request and no credential leaves the origin of `base_url`.
"""
