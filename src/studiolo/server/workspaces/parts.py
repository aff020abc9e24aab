"""Builds the services of this folder: what the composition root passes in, and what it gets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.engines.engines import Engines
from studiolo.server.moves.places import MovingPlaces
from studiolo.server.moves.service import Moves
from studiolo.server.moves.steps import MoveSteps
from studiolo.server.settings import Settings
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.cloning import Clones
from studiolo.server.workspaces.copies import Copies
from studiolo.server.workspaces.exporting import Exports
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.holdings import WorkspaceHoldings
from studiolo.server.workspaces.importing import Imports
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.records import Records
from studiolo.server.workspaces.register import Register
from studiolo.server.workspaces.resets import Resets
from studiolo.server.workspaces.service import Workspaces
from studiolo.server.workspaces.sizes import Sizes, Tools
from studiolo.server.workspaces.trash import Trash


@dataclass(frozen=True)
class WorkspaceParts:
    """The services of workspaces by name. `register.sessions` is set once sessions are built."""

    register: Register
    workspaces: Workspaces
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
    settings: Settings,
    *,
    clock: Clock,
    db: Database,
    accounts: Accounts,
    audit: Audit,
    access: Access,
    folders: Folders,
    engines: Engines,
    tools: Tools,
    remove_environment: Callable[[Path], None],
    spoil_environment: Callable[[Path], None],
) -> WorkspaceParts:
    """Build them; nothing runs yet."""
    register = Register(clock, audit, folders, settings.resources)
    sizes = Sizes(db, register, engines, tools, folders, settings.resources)
    members = Members(db, clock, accounts, access, register)
    workspaces = Workspaces(db, clock, audit, access, folders, register, sizes)
    places = MovingPlaces(engines, folders, clock)
    moves, move_steps = Moves(db, clock, engines, register, places), MoveSteps(db, clock, folders, register, places)
    moves.wake = move_steps.runner.hint
    return WorkspaceParts(
        register=register,
        workspaces=workspaces,
        members=members,
        holdings=WorkspaceHoldings(db, clock, accounts, audit, access, folders, register, members),
        sizes=sizes,
        copies=Copies(db, folders, register, workspaces),
        records=Records(db, clock, folders, register),
        exports=Exports(db, clock, folders, register),
        clones=Clones(db, clock, folders, register, workspaces, settings),
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
