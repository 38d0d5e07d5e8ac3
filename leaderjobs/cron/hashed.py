"""H in a cron expression: a value that differs from schedule to schedule, and is always the same for one.

It spreads schedules that all say "once an hour" over the hour. The value comes from SHA-256 of the seed and
of the field, so it is the same in every process, on every member and in every version of Python, and it is
not the same in minute and hour.

    H           one value of the field's range
    H(0-29)     one value of the range given
    H/15        every 15th value of the field's range, from one of the first 15 on
    H(9-17)/2   the same in the range given
"""

from __future__ import annotations

import hashlib
import re

H_RANGES = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
"""What H stands for in each field; days end at the 28th, which every month has."""
MOST_LISTED = 6
"""Values of a step that are written out; more of them are written as a range with a step."""
_TERM = re.compile(r"H(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?", re.ASCII | re.IGNORECASE)


def expand(field: int, text: str, seed: str) -> str:
    """The text of the `field`-th of the five fields, with H replaced.

    ValueError says what is allowed of an H that cannot be read, or whose range or step is not the field's.

    >>> expand(0, "H(10-19),45", "main/books")
    '17,45'
    """
    return ",".join(_term(field, term, seed) for term in text.split(","))


def _term(field: int, term: str, seed: str) -> str:
    if term[:1] not in {"H", "h"}:
        return term
    found = _TERM.fullmatch(term)
    lowest, highest = H_RANGES[field]
    first, last = (int(found[1]), int(found[2])) if found and found[1] else (lowest, highest)
    count = last - first + 1
    step = int(found[3]) if found and found[3] else None
    fits = lowest <= first <= last <= highest and (step is None or 2 <= step <= count)
    if not found or not fits:
        raise ValueError(
            f"H, H/STEP, H(FIRST-LAST) or H(FIRST-LAST)/STEP of {lowest}-{highest}, "
            "the step from 2 to the size of the range"
        )
    if step is None:
        return str(first + _hash(seed, field) % count)
    values = range(first + _hash(seed, field) % step, last + 1, step)
    return ",".join(map(str, values)) if len(values) <= MOST_LISTED else f"{values[0]}-{last}/{step}"


def _hash(seed: str, field: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{field}".encode()).digest()[:8])
