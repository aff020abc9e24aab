"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studiolo.server.accounts.parts import AccountParts
from studiolo.server.engines.engines import Engines
from studiolo.server.foundation import Foundation
from studiolo.server.moves.bringing import Bringing
from studiolo.server.moves.places import MovingPlaces
from studiolo.server.moves.service import Moves
from studiolo.server.moves.steps import MoveSteps
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.cloning import Clones
from studiolo.server.workspaces.copies import Copies
from studiolo.server.workspaces.exporting import Exports
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.holdings import WorkspaceHoldings
from studiolo.server.workspaces.importing import Imports
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.owners import Owners
from studiolo.server.workspaces.records import Records
from studiolo.server.workspaces.register import Register
from studiolo.server.workspaces.resets import Resets
from studiolo.server.workspaces.service import Workspaces
from studiolo.server.workspaces.sizes import Sizes, Tools
from studiolo.server.workspaces.trash import Trash


@dataclass(frozen=True)
class WorkspaceParts:
    """The services of workspaces by name. `workspace_register.sessions` is set once sessions are built."""

    access: Access
    folders: Folders
    workspace_register: Register
    workspaces: Workspaces
    owners: Owners
    members: Members
    holdings: WorkspaceHoldings
    sizes: Sizes
    copies: Copies
    records: Records
    resets: Resets
    trash: Trash
    exports: Exports
    imports: Imports
    clones: Clones
    moves: Moves
    move_steps: MoveSteps


def build_workspaces(
    on: Foundation,
    of_accounts: AccountParts,
    engines: Engines,
    *,
    tools: Tools,
    remove_environment: Callable[[Path], None],
    spoil_environment: Callable[[Path], None],
) -> WorkspaceParts:
    """Build them; nothing runs yet."""
    db, clock, audit, settings, accounts = on.db, on.clock, on.audit, on.settings, of_accounts.accounts
    access, folders = Access(db), Folders(settings.data_dir, settings.workspaces.allowed_roots)
    folders.keeper_of = engines.keeper_of
    on.live.audience = access.audience
    register = Register(clock, audit, folders, settings.resources)
    sizes = Sizes(db, register, engines, tools, folders, settings.resources)
    members = Members(db, clock, accounts, access, register)
    owners = Owners(db, folders, settings.local)
    workspaces = Workspaces(db, clock, audit, access, folders, register, sizes, owners)
    places = MovingPlaces(engines, folders, clock)
    moves, move_steps = Moves(db, clock, engines, register, places), MoveSteps(db, clock, folders, register, places)
    bringing = Bringing(db, engines, register, places, folders)
    moves.wake = move_steps.runner.hint
    return WorkspaceParts(
        access=access,
        folders=folders,
        workspace_register=register,
        workspaces=workspaces,
        owners=owners,
        members=members,
        holdings=WorkspaceHoldings(db, clock, accounts, audit, access, folders, register, members),
        sizes=sizes,
        copies=Copies(db, folders, register, workspaces),
        records=Records(db, clock, folders, register),
        exports=Exports(db, clock, folders, register),
        clones=Clones(db, clock, folders, register, workspaces, bringing, settings),
        imports=Imports(db, folders, accounts, workspaces, settings.workspaces),
        moves=moves,
        move_steps=move_steps,
        resets=Resets(db, clock, folders, register, spoil=spoil_environment),
        trash=Trash(
            db,
            clock,
            access,
            folders,
            register,
            remove_environment=remove_environment,
            release=moves.release_erased,
            retention=settings.workspaces.trash_retention,
        ),
    )
