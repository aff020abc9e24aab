"""What every part of the control plane stands on."""

from dataclasses import dataclass

from studiolo.kit.clock import Clock, SystemClock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.settings import Settings


@dataclass(frozen=True)
class Foundation:
    """Settings, time, what is stored, and what is recorded and told of changes."""

    settings: Settings
    clock: Clock
    db: Database
    master: MasterKey
    live: Live
    audit: Audit


def lay_foundation(settings: Settings, db: Database, clock: Clock | None = None) -> Foundation:
    """Build it; the database is not yet asked. Makes the master key if there is none."""
    clock, live = clock or SystemClock(), Live()
    master = MasterKey.load(settings.data_dir / "secrets" / "master.key")
    return Foundation(settings, clock, db, master, live, Audit(db, clock, live))
