"""All that stands between the control plane and the package index, put together for the composition root."""

from dataclasses import dataclass

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.audit.service import Audit
from studiolo.server.packages.credentials import IndexCredentials
from studiolo.server.packages.door import IndexDoor
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.host import IndexHost
from studiolo.server.packages.internal import IndexQuestions
from studiolo.server.packages.ledger import Ledger
from studiolo.server.settings import Settings
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class IndexParts:
    """The parts that others call: who may ask, what the host asks back, and what builds ask with."""

    door: IndexDoor
    questions: IndexQuestions
    credentials: IndexCredentials


def build_index(
    settings: Settings,
    *,
    clock: Clock,
    db: Database,
    master: MasterKey,
    audit: Audit,
    authentication: Authentication,
    workspaces: Workspaces,
    policies: Policies,
) -> IndexParts:
    """Build the parts; nothing runs yet."""
    host, credentials = IndexHost(settings.index_socket, settings.index_key_file), IndexCredentials(clock, master)
    return IndexParts(
        IndexDoor(db, authentication, workspaces, credentials, host, policies),
        IndexQuestions(host, policies.by_hash, Ledger(db, audit)),
        credentials,
    )
