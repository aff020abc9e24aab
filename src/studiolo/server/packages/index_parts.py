"""All that stands between the control plane and the package index, put together for the composition root."""

from dataclasses import dataclass

from studiolo.server.accounts.parts import AccountParts
from studiolo.server.foundation import Foundation
from studiolo.server.packages.credentials import IndexCredentials
from studiolo.server.packages.door import IndexDoor
from studiolo.server.packages.host import IndexHost
from studiolo.server.packages.internal import IndexQuestions
from studiolo.server.packages.ledger import Ledger
from studiolo.server.packages.parts import PackageParts
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class IndexParts:
    """The parts that others call: who may ask, what the host asks back, and what builds ask with."""

    index_door: IndexDoor
    index_questions: IndexQuestions
    index_credentials: IndexCredentials


def build_index(
    on: Foundation, of_accounts: AccountParts, of_workspaces: WorkspaceParts, of_packages: PackageParts
) -> IndexParts:
    """Build the parts; nothing runs yet."""
    host = IndexHost(on.settings.index_socket, on.settings.index_key_file)
    credentials, policies = IndexCredentials(on.clock, on.master), of_packages.policies
    return IndexParts(
        IndexDoor(on.db, of_accounts.authentication, of_workspaces.workspaces, credentials, host, policies),
        IndexQuestions(host, policies.by_hash, Ledger(on.db, on.audit)),
        credentials,
    )
