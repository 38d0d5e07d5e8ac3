"""`[schedules]`, `[limits]`, `[hooks]`, `[retention]`: what they mean, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs.config import Settings, load
from leaderjobs.config.settings import LimitSettings
from leaderjobs.errors import ConfigError
from leaderjobs.model.notice import HookEvent
from leaderjobs.model.schedule import CatchUp, Overlap, ScheduleSpec
from leaderjobs.values import Rate, Secret
from tests.configurations import GOOD, SECRET

LoadText = Callable[..., Settings]

QUEUE = (
    GOOD
    + """
[connections.orders]
connector = "rest"
base_url = "https://api.example.com"

[operations.orders.create_order]
path = "/orders"
arguments = { day = "text", amount = "integer" }
business_key = "order:{day}"

[operations.orders.create_order.look_up]
path = "/orders"
parameters = { reference = "{day}" }
match = { reference = "{day}" }

[schedules.household-hourly]
sync = "household"
cron = "H/15 * * * *"
time_zone = "America/New_York"
jitter = "30s"
catch_up = "all"
catch_up_window = "2h"
overlap = "cancel_running"
pause_on_failure = true

[schedules.order]
operation = "orders.create_order"
arguments = { day = "{fire_date}", amount = 12 }
cron = "@daily"

[limits.connections.household]
jobs = 1
requests = "50/min"

[limits.providers.plaid]
requests = "10/s"

[hooks.chat]
url = "https://chat.example.com/hooks/T0?x=1"
secret = { env = "HOOK" }
on = ["failure"]
targets = ["household", "household-hourly", "orders.create_order"]
timeout = "5s"

[hooks.page]
command = ["/usr/bin/page", "--now"]

[retention]
completed = "2d"
"""
)


def test_every_value_is_read(load_text: LoadText) -> None:
    settings = load_text(QUEUE.replace("max_attempts = 3", 'max_attempts = 3\ntime_limit = "1h"'))

    assert settings.syncs["household"].time_limit == timedelta(hours=1)
    assert settings.schedules["household-hourly"] == ScheduleSpec(
        name="household-hourly",
        target="household",
        cron="H/15 * * * *",
        time_zone="America/New_York",
        jitter=timedelta(seconds=30),
        catch_up=CatchUp.ALL,
        catch_up_window=timedelta(hours=2),
        overlap=Overlap.CANCEL_RUNNING,
        pause_on_failure=True,
    )
    assert settings.limits.connections == {"household": LimitSettings(1, Rate(50, timedelta(minutes=1)))}
    assert settings.limits.providers == {"plaid": LimitSettings(None, Rate(10, timedelta(seconds=1)))}
    chat = settings.hooks["chat"]
    assert (chat.url, chat.secret) == ("https://chat.example.com/hooks/T0?x=1", Secret(env="HOOK"))
    assert (chat.on, chat.timeout) == ((HookEvent.FAILURE,), timedelta(seconds=5))
    assert chat.targets == ("household", "household-hourly", "orders.create_order")
    assert settings.hooks["page"].command == ("/usr/bin/page", "--now")
    assert settings.retention.completed == timedelta(days=2)


def test_what_is_left_out_has_its_default(load_text: LoadText) -> None:
    settings = load_text(QUEUE)

    assert settings.schedules["order"] == ScheduleSpec(
        name="order",
        target="orders.create_order",
        cron="@daily",
        arguments={"day": "{fire_date}", "amount": "12"},
    )
    assert settings.hooks["page"].on == (HookEvent.FAILURE, HookEvent.RECOVERY)
    assert settings.hooks["page"].targets == ()
    assert settings.retention.discarded == timedelta(days=7)
    assert load_text(GOOD).limits.connections == {}


def test_the_environment_wins_over_the_file(load_text: LoadText) -> None:
    settings = load_text(
        QUEUE,
        {
            "LEADERJOBS_SCHEDULES_HOUSEHOLD_HOURLY_CRON": "@hourly",
            "LEADERJOBS_SCHEDULES_HOUSEHOLD_HOURLY_PAUSE_ON_FAILURE": "false",
            "LEADERJOBS_SCHEDULES_HOUSEHOLD_HOURLY_OVERLAP": "queue",
            "LEADERJOBS_LIMITS_CONNECTIONS_HOUSEHOLD_JOBS": "2",
            "LEADERJOBS_LIMITS_PROVIDERS_PLAID_REQUESTS": "1/h",
            "LEADERJOBS_HOOKS_CHAT_ON": "failure, recovery",
            "LEADERJOBS_HOOKS_CHAT_SECRET": SECRET,
            "LEADERJOBS_RETENTION_CANCELLED": "3d",
            "LEADERJOBS_SYNCS_HOUSEHOLD_TIME_LIMIT": "1m",
        },
    )

    hourly = settings.schedules["household-hourly"]
    assert (hourly.cron, hourly.pause_on_failure, hourly.overlap) == ("@hourly", False, Overlap.QUEUE)
    assert settings.limits.connections["household"].jobs == 2
    assert settings.limits.providers["plaid"].requests == Rate(1, timedelta(hours=1))
    assert settings.hooks["chat"].on == (HookEvent.FAILURE, HookEvent.RECOVERY)
    assert settings.hooks["chat"].secret == Secret(literal=SECRET)
    assert settings.retention.cancelled == timedelta(days=3)
    assert settings.syncs["household"].time_limit == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("LEADERJOBS_SCHEDULES_OTHER_CRON", "LEADERJOBS_SCHEDULES_OTHER_CRON: no such setting"),
        ("LEADERJOBS_LIMITS_PROVIDERS_PLAID_JOB", "did you mean LEADERJOBS_LIMITS_PROVIDERS_PLAID_JOBS?"),
        ("LEADERJOBS_RETENTION_COMPLETED", 'LEADERJOBS_RETENTION_COMPLETED = "x": allowed: a duration'),
        ("LEADERJOBS_SCHEDULES_ORDER_CRON", 'LEADERJOBS_SCHEDULES_ORDER_CRON = "x": allowed: 5 fields'),
        (
            "LEADERJOBS_SCHEDULES_ORDER_TIME_ZONE",
            'LEADERJOBS_SCHEDULES_ORDER_TIME_ZONE = "x": allowed: a name',
        ),
    ],
)
def test_a_bad_variable_is_refused_by_name(load_text: LoadText, variable: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(QUEUE, {variable: "x"})

    assert says in str(raised.value)


COMPLAINTS = [
    ('sync = "household"\n', "", "schedules.household-hourly: sync is missing; allowed: exactly one of sync"),
    (
        'sync = "household"',
        'sync = "household"\noperation = "orders.create_order"',
        'schedules.household-hourly.operation = "orders.create_order": allowed: exactly one of sync',
    ),
    (
        'sync = "household"',
        'sync = "house"',
        'schedules.household-hourly.sync = "house": allowed: a sync: household',
    ),
    (
        'sync = "household"',
        'sync = "household"\narguments = { a = "b" }',
        "schedules.household-hourly.arguments = a table: allowed: nothing for a sync",
    ),
    (
        'operation = "orders.create_order"',
        'operation = "create_order"',
        'schedules.order.operation = "create_order": allowed: CONNECTION.OPERATION of a connection: household',
    ),
    (
        'operation = "orders.create_order"',
        'operation = "orders.create"',
        'schedules.order.operation = "orders.create": allowed: an operation: orders.create_order',
    ),
    (
        "amount = 12 }",
        "amount = 1.5 }",
        "schedules.order.arguments = a table: allowed: a table of up to 50 texts",
    ),
    ('cron = "@daily"', "", "schedules.order: cron is missing; allowed: a cron expression of 5 fields"),
    (
        'cron = "@daily"',
        'cron = "61 * * * *"',
        'schedules.order.cron = "61 * * * *": allowed: as minute 0-59',
    ),
    (
        'cron = "@daily"',
        'cron = "0 0 30 2 *"',
        'schedules.order.cron = "0 0 30 2 *": allowed: an expression that',
    ),
    ('cron = "@daily"', 'corn = "@daily"', "schedules.order.corn: unknown key; did you mean cron?"),
    (
        "America/New_York",
        "America/NewYork",
        'schedules.household-hourly.time_zone = "America/NewYork": allowed: a name of the tz database',
    ),
    ("America/New_York", "../../etc/passwd", "time_zone = "),
    ('jitter = "30s"', 'jitter = "2d"', 'jitter = "2d": allowed: a duration from "0s" to "1d"'),
    ('catch_up = "all"', 'catch_up = "some"', 'catch_up = "some": allowed: "skip", "latest", "all"'),
    ('"cancel_running"', '"cancel"', 'overlap = "cancel": allowed: "skip", "queue", "cancel_running"'),
    ("pause_on_failure = true", "pause_on_failure = 1", "pause_on_failure = 1: allowed: true or false"),
    ("schedules.order]", 'schedules."a b"]', "schedules.a b: bad name; allowed: 1 to 64"),
    (
        "limits.connections.household",
        "limits.connections.houshold",
        "limits.connections.houshold: unknown key; did you mean household?",
    ),
    (
        "limits.providers.plaid",
        "limits.providers.plaids",
        "limits.providers.plaids: unknown key; did you mean plaid?",
    ),
    (
        "limits.providers.plaid",
        "limits.provider.plaid",
        "limits.provider: unknown key; did you mean providers?",
    ),
    ("jobs = 1", "jobs = 0", "limits.connections.household.jobs = 0: allowed: a whole number from 1 to 256"),
    ("jobs = 1", "job = 1", "limits.connections.household.job: unknown key; did you mean jobs?"),
    ('requests = "10/s"', 'requests = "10/d"', 'requests = "10/d": allowed: a whole number per s, min or h'),
    ('requests = "10/s"', "", "limits.providers.plaid: limits nothing; allowed: jobs, requests"),
    ("[limits.providers.plaid]", "[limits.providers]", "limits.providers.requests: not a table"),
    (
        'command = ["/usr',
        'url = "https://a"\ncommand = ["/usr',
        'hooks.page.command = ["/usr/bin/page", "--now"]: a',
    ),
    (
        'command = ["/usr/bin/page", "--now"]',
        "",
        "hooks.page: url is missing; allowed: exactly one of url and command",
    ),
    (
        'command = ["/usr',
        'secret = "s"\ncommand = ["/usr',
        "hooks.page.secret = ***: allowed: nothing beside a command",
    ),
    ("https://chat", "ftp://chat", 'hooks.chat.url = ***: allowed: "https://HOST[:PORT][/PATH]"'),
    ("https://chat", "https://ann:pw@chat", "hooks.chat.url = ***: allowed:"),
    ('on = ["failure"]', "on = []", 'hooks.chat.on = []: allowed: a non-empty list of "failure", "recovery"'),
    ('on = ["failure"]', 'on = ["failed"]', 'hooks.chat.on = ["failed"]: allowed: a non-empty list'),
    ('targets = ["household"', 'targets = ["house"', 'hooks.chat.targets = ["house", '),
    ('timeout = "5s"', 'timeout = "6m"', 'hooks.chat.timeout = "6m": allowed: a duration from "1s" to "5m"'),
    ("completed =", "complete =", "retention.complete: unknown key; did you mean completed?"),
    ('completed = "2d"', 'completed = "0s"', 'retention.completed = "0s": allowed: a duration from "1m"'),
    (
        "max_attempts = 3",
        'max_attempts = 3\ntime_limit = "0s"',
        'syncs.household.time_limit = "0s": allowed: a',
    ),
    ("[retention]", "[retentions]", "retentions: unknown key; did you mean retention?"),
]


@pytest.mark.parametrize(("old", "new", "says"), COMPLAINTS, ids=[says[:50] for _, _, says in COMPLAINTS])
def test_what_is_not_allowed_is_told_with_its_place(
    load_text: LoadText, old: str, new: str, says: str
) -> None:
    assert old in QUEUE
    with pytest.raises(ConfigError) as raised:
        load_text(QUEUE.replace(old, new, 1))

    message = str(raised.value)
    assert says in message
    line, _, rest = message.rpartition("leaderjobs.toml:")[2].partition(": ")
    key = rest.split(" = ")[0].split(":")[0].rpartition(".")[2]
    assert key in QUEUE.replace(old, new, 1).splitlines()[int(line) - 1]
    assert message.isprintable()
    assert SECRET not in message


def test_a_literal_secret_of_a_hook_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text('[hooks.chat]\nurl = "https://a"\nsecret = "s"\n')
    path.chmod(0o644)

    [warning] = load(path, {}).warnings

    assert warning.startswith(f"{path}:3: hooks.chat.secret is a literal secret")
