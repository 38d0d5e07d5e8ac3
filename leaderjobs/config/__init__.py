"""What the user wants, read once and checked whole: one TOML file, overlaid by the environment.

A value comes from the environment (`LEADERJOBS_CLUSTER_NAME`), else the file, else its default; the
command line only names the file. `load` is the one way in. It either returns `Settings` in which every
reference resolves, or raises one ConfigError of one line that says where, what and what is allowed.

Sections are read field by field against annotated types rather than in one go, because only then can
the message carry the line, the value as written and the range; and because a value of a `Secret` field
must never reach a message, which a general decoder cannot know. Nothing here opens a connection, and a
secret given as a variable or a file is not read: the process that uses it does that.
"""

from leaderjobs.config.described import described
from leaderjobs.config.load import load
from leaderjobs.config.settings import ClusterSettings, ConnectionSettings, Settings, SyncSettings
from leaderjobs.config.urls import coordinator_url, database_url

__all__ = [
    "ClusterSettings",
    "ConnectionSettings",
    "Settings",
    "SyncSettings",
    "coordinator_url",
    "database_url",
    "described",
    "load",
]
