"""The policy that holds for a workspace now: made when it is asked for, kept as a numbered revision when it changed."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import WorkspaceConfig
from studiolo.contract.errors import NotFound, StudioloError
from studiolo.files.root import Root
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.kit.marked_yaml import LARGEST_BYTES
from studiolo.packages.policy.documents import Document
from studiolo.packages.policy.effective import Policy
from studiolo.server.packages import queries
from studiolo.server.packages.closures import Closures
from studiolo.server.packages.composing import FOLDER_FILE, Inputs, Revision, compose, replaced, revision_of
from studiolo.server.packages.grants import grant_of
from studiolo.server.packages.variables import Variables
from studiolo.server.workspaces.folders import Folders

# The front door asks for each request: what is known is good for this long without looking at the database.
_REMEMBER_SECONDS = 2.0
_MOST_KEPT = 5_000
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


async def _no_base_files(workspace_id: str) -> frozenset[str]:
    return frozenset()


class Policies:
    """Answers what holds for a workspace. Ask outside transactions: an answer may read and write by itself."""

    def __init__(self, db: Database, clock: Clock, variables: Variables, folders: Folders, closures: Closures) -> None:
        self._closures = closures
        closures.on_known = self.forget
        self._db = db
        self._clock = clock
        self._variables = variables
        self._folders = folders
        # SHA-256 of the files of a workspace's base, which pass whatever is blocked. Set by whoever keeps bases.
        self.base_files: Callable[[str], Awaitable[frozenset[str]]] = _no_base_files
        self._answers: MomentCache[str, tuple[int, Policy]] = MomentCache(_REMEMBER_SECONDS)
        self._made: dict[str, tuple[Inputs, int, Policy]] = {}
        self._by_hash: dict[str, Policy] = {}
        self._revisions: dict[tuple[str, int], Revision] = {}

    def forget(self) -> None:
        """Look again at the next question: something that policies are made of has changed."""
        self._answers.clear()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` with every change: answers built on what was before are stale."""
        self._answers.watchers.append(changed)

    async def effective(self, workspace_id: str | None) -> tuple[int, Policy]:
        """Return number and policy of a workspace; None: what holds where no workspace says anything, with the number
        of the organisation's revision (0: the product's). Raises NotFound (`workspace-not-found`).
        """
        if workspace_id is None:
            inputs = await self.platform_inputs()
            return inputs.platform.number if inputs.platform else 0, self.compose(inputs)
        if known := self._answers.find(workspace_id):
            return known
        generation = self._answers.generation
        inputs = await self.inputs(workspace_id)
        made = self._made.get(workspace_id)
        if made is None or made[0] != inputs or self._closure(made[2], made[2].closure) != made[2].closure:
            policy = await self._with_closure(workspace_id, self.compose(inputs))
            made = (inputs, await self._number(workspace_id, policy), policy)
            _keep(self._made, workspace_id, made)
            _keep(self._by_hash, policy.hash, policy)
        answer = made[1:]
        self._answers.put(workspace_id, answer, generation=generation)
        return answer

    async def by_hash(self, hash_: str) -> Policy:
        """Return the policy that an answer of `effective` named by its hash. Raises NotFound (`policy-not-found`)."""
        if (known := self._by_hash.get(hash_)) is not None:
            return known
        async with self._db.read() as connection:
            row = await queries.find_by_hash(connection, hash_)
        if row is not None:
            try:
                policy = Policy.from_json(row["document"], base_files=await self.base_files(row["workspace_id"]))
            except ValueError:
                # The base's files are others by now: nobody is served by this policy any more.
                pass
            else:
                _keep(self._by_hash, hash_, policy)
                return policy
        raise NotFound("policy-not-found", f"No policy that holds now has the hash {hash_[:64]!r}.")

    def compose(self, inputs: Inputs) -> Policy:
        """Return what follows from inputs, as far as what allowlisted packages need is known."""
        policy = compose(inputs, self._variables)
        return replace(policy, closure=self._closure(policy, ()))

    def imagine(self, inputs: Inputs, document: Document, *, of_platform: bool, by_administrator: bool) -> Policy:
        """Return what would hold if `document` were set."""
        return self.compose(replaced(inputs, document, of_platform=of_platform, by_administrator=by_administrator))

    async def forget_person(self, tx: Transaction, person_id: str, display_name: str) -> None:
        """Have no effective policy name a person who is erased: those that do are emptied, and made anew."""
        await queries.blank_effective(tx.connection, json.dumps(display_name, ensure_ascii=False)[1:-1])
        tx.after_commit(self._forget_all)

    def _forget_all(self) -> None:
        for kept in (self._made, self._by_hash, self._revisions):
            kept.clear()
        self.forget()

    async def inputs(self, workspace_id: str) -> Inputs:
        """Read what a workspace's policy is made of. Raises NotFound (`workspace-not-found`)."""
        async with self._db.read() as connection:
            ground = await queries.find_ground(connection, workspace_id)
            if ground is None:
                raise NotFound("workspace-not-found", "The workspace is not there any more.")
            platform = await self._revision(connection, queries.PLATFORM)
            latest = await self._revision(connection, workspace_id)
            administrators = latest
            if latest is not None and not latest.by_administrator:
                administrators = await self._revision(connection, workspace_id, of_administrators=True)
            grants = await queries.list_grants(connection, workspace_id, now=self._clock.now())
        folder = self._folders.of(workspace_id, ground["root"])
        return Inputs(
            platform,
            administrators,
            latest if latest is not administrators else None,
            WorkspaceConfig.model_validate(ground["config"] or {}).security,
            await asyncio.to_thread(_read_folder_file, folder),
            tuple(map(grant_of, grants)),
            await self.base_files(workspace_id),
        )

    async def platform_inputs(self) -> Inputs:
        """Read what is the same for all workspaces."""
        async with self._db.read() as connection:
            platform = await self._revision(connection, queries.PLATFORM)
            grants = await queries.list_grants(connection, None, now=self._clock.now())
        return Inputs(platform, grants=tuple(map(grant_of, grants)))

    def _closure(self, policy: Policy, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        if not policy.closure_roots:
            return ()
        known = self._closures.find(policy.closure_roots)
        return otherwise if known is None else known

    async def _with_closure(self, workspace_id: str, policy: Policy) -> Policy:
        """Return the policy with what its allowlist needs; as an earlier process knew it, until this one does."""
        if not policy.closure_roots or self._closures.find(policy.closure_roots) is not None:
            return policy
        async with self._db.read() as connection:
            latest = await queries.find_effective(connection, workspace_id)
        try:
            before = Policy.from_json(latest["document"], base_files=policy.base_files) if latest else policy
        except ValueError:
            return policy
        same = before.closure_roots == policy.closure_roots
        return replace(policy, closure=before.closure) if same else policy

    async def _revision(
        self, connection: AsyncConnection, scope: str, *, of_administrators: bool = False
    ) -> Revision | None:
        row = await queries.find_revision(connection, scope, of_administrators=of_administrators)
        if row is None:
            return None
        known = self._revisions.get((scope, row["number"]))
        if known is None:
            known = revision_of(row, of_platform=scope == queries.PLATFORM)
            _keep(self._revisions, (scope, row["number"]), known)
        return known

    async def _number(self, workspace_id: str, policy: Policy) -> int:
        """Return the number under which the policy is kept; a new one if it is not the latest."""
        try:
            async with self._db.read() as connection:
                latest = await queries.find_effective(connection, workspace_id)
            if latest is not None and latest["hash"] == policy.hash:
                return int(latest["number"])
            number = 1 if latest is None else latest["number"] + 1
            values = {
                "workspace_id": workspace_id,
                "number": number,
                "hash": policy.hash,
                "document": policy.to_json(with_base_files=False),
                "made_at": self._clock.now(),
            }
            async with self._db.write() as tx:
                await queries.insert_effective(tx.connection, values)
            return int(number)
        except IntegrityError:
            # Another process numbered one at this very moment, most likely this one.
            return await self._number(workspace_id, policy)


def _read_folder_file(folder: Path) -> bytes | None:
    """Return the text of the file in a workspace's folder, None without one that can be read; one byte too many of a
    large one, so that it is refused as such.
    """
    try:
        with Root(folder) as root, root.open_file(FOLDER_FILE) as found:
            return os.read(found.handle, LARGEST_BYTES + 1)
    except (StudioloError, OSError):
        return None


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Remember, and forget the oldest where there are too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
