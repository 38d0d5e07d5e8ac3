"""From a secret to a header; what cannot be one is told without its value."""

from __future__ import annotations

import re

from leaderjobs.errors import ConfigError, FatalError
from leaderjobs.values import Secret

_WORD = re.compile(r"[!-~]+")
_WORDS = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def revealed(secret: Secret | None) -> str:
    """The value, empty for None; FatalError where it cannot be had: no read is possible without it."""
    try:
        return "" if secret is None else secret.reveal()
    except ConfigError as error:
        raise FatalError(str(error)) from None


def header_word(secret: Secret, name: str) -> str:
    """The value, without spaces; ConfigError otherwise: the HTTP library would quote it in its own error."""
    value = secret.reveal()
    if _WORD.fullmatch(value) is None:
        raise ConfigError(f"{name} ({secret}) holds spaces or characters outside ASCII; such keys never do")
    return value


def header_words(secret: Secret, name: str) -> str:
    """The same where spaces may stand inside, as in `Bearer …`."""
    value = secret.reveal()
    if _WORDS.fullmatch(value) is None:
        raise ConfigError(
            f"{name} ({secret}) holds characters outside ASCII, or spaces at its ends; no header can carry it"
        )
    return value
