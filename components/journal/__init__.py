"""The prediction log: a crash-safe spool on the machine, Parquet by day in the store."""

from components.journal.journal import Journal
from components.journal.logbook import Logbook
from components.journal.spool import Spool
from components.journal.window import read_window

__all__ = ["Journal", "Logbook", "Spool", "read_window"]
