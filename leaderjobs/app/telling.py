"""The hooks of the configuration, and who tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from leaderjobs import logs
from leaderjobs.values import Secret

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.config.settings import HookSettings
    from leaderjobs.engine.herald import Hook
    from leaderjobs.engine.leader import MakeBeside
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.event import Emit


def herald_maker(current: Callable[[], Settings], built: Stores, emit: Emit) -> MakeBeside:
    """What tells the hooks for one term; `current` is asked every time, so a reload counts at once."""
    from leaderjobs.engine.herald import Herald

    made: dict[str, tuple[HookSettings, Hook]] = {}

    def hooks() -> Sequence[Hook]:
        found = current().hooks
        for name in made.keys() - found.keys():
            del made[name]
        for name, settings in found.items():
            if name not in made or made[name][0] != settings:
                made[name] = (settings, hook(settings))
        return [each for _, each in made.values()]

    return lambda term, connections: Herald(
        term=term, connections=connections, notices=built.notices, hooks=hooks, emit=emit
    )


def hook(settings: HookSettings) -> Hook:
    """Whom `[hooks.NAME]` names; its URL, and its secret once it is read, are kept out of the log."""
    from leaderjobs.connectors.hooks import Command, Webhook
    from leaderjobs.engine.herald import Hook, Teller

    teller: Teller
    if settings.url is not None:
        logs.redact(settings.url)
        teller = Webhook(settings.url, _revealing(settings.secret), settings.timeout)
    else:
        teller = Command(settings.command, settings.timeout)
    return Hook(settings.name, frozenset(settings.on), frozenset(settings.targets), teller)


def _revealing(secret: Secret | None) -> Callable[[], str] | None:
    if secret is None:
        return None

    def reveal() -> str:
        value = secret.reveal()
        logs.redact(value)
        return value

    return reveal
