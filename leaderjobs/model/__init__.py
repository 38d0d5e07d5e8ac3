"""The nouns of leaderjobs: frozen dataclasses that do no I/O and know no backend.

One exception to "frozen": a `Term` carries the deadline up to which its owner may believe in it,
and that deadline moves (`term.py` says who may move it).
"""
