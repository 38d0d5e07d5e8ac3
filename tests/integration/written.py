"""A connector's settings as a configuration file would hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.registry import settings_type
from leaderjobs.values import Rate, Secret


def section(connection: str, connector: Connector) -> str:
    """`[connections.NAME]` from which such a connector would be made."""
    kind = settings_type(connector.name)
    options = next(value for value in vars(connector).values() if isinstance(value, kind))
    keys = [f"{name} = {_value(value)}" for name, value in _given(options).items()]
    return "\n".join([f"[connections.{connection}]", f'connector = "{connector.name}"', *keys, ""])


def _given(options: msgspec.Struct) -> dict[str, Any]:
    """What is not the default."""
    fields = {field.name: field for field in msgspec.structs.fields(options)}
    values = {name: getattr(options, name) for name in fields}
    return {
        fields[name].encode_name: value
        for name, value in values.items()
        if value is not None and value != fields[name].default
    }


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case timedelta():
            return f'"{round(value.total_seconds() * 1000)}ms"'
        case date() | int() | float() | Decimal():
            return str(value)
        case Rate() | Path():
            return json.dumps(str(value))
        case Secret():
            return json.dumps(value.literal)
        case msgspec.Struct():
            return _value(_given(value))
        case Mapping():
            return (
                "{ " + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + " }"
            )
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(_value(each) for each in value) + "]"
        case _:
            return json.dumps(str(value))
