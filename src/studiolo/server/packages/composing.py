"""What a workspace's policy is made of, and how it becomes one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.details import Security
from studiolo.contract.errors import InvalidInput
from studiolo.packages.policy.documents import Document, default_document, over_default, read_document
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.merging import Part, merge
from studiolo.packages.policy.rules import read_channel, read_entry
from studiolo.server.packages.variables import Variables

CONFIG_FILE = "workspace-config.yaml"
FOLDER_FILE = "workspace-security.yaml"


@dataclass(frozen=True)
class Revision:
    """A revision as it counts. `number` 0: a policy that nobody has set yet."""

    number: int
    document: Document
    by_administrator: bool
    may_widen: bool


@dataclass(frozen=True)
class Inputs:
    """All that a policy is made of; equal inputs make equal policies.

    `administrators`: the latest revision of a workspace that an administrator set; `workspace`: one that its people
    set since. `folder_file`: its text, None without one.
    """

    platform: Revision | None = None
    administrators: Revision | None = None
    workspace: Revision | None = None
    security: Security = field(default_factory=Security)
    folder_file: bytes | None = None
    grants: tuple[Grant, ...] = ()
    base_files: frozenset[str] = frozenset()


def compose(inputs: Inputs, variables: Variables) -> Policy:
    """Return the policy: the organisation's, what the workspace says of itself, the variables, what was granted."""
    notes = list(variables.notes)
    parts = [Part(_of_config(inputs.security, notes), may_widen=False)]
    revisions = (one for one in (inputs.administrators, inputs.workspace) if one is not None)
    parts += [Part(one.document, one.may_widen) for one in revisions]
    if inputs.folder_file is not None:
        parts += _of_folder(inputs.folder_file, notes)
    return merge(
        over_default(inputs.platform.document) if inputs.platform else default_document(),
        parts,
        blocked=variables.blocked,
        startup_blocked=variables.startup_blocked,
        grants=inputs.grants,
        base_files=inputs.base_files,
        notes=notes,
    )


def revision_of(row: RowMapping, *, of_platform: bool) -> Revision:
    """Return a row as it counts; raises InvalidInput (`policy-invalid`) for what this version cannot read."""
    whose = "organisation" if of_platform else "workspace"
    by = f", by {row['maker_display'] or row['maker']}" if row["maker"] else ""
    source = f"{whose} policy {row['number']}{by} on {row['made_at']:%-d %B %Y}"
    document = read_document(row["document"], source)
    return Revision(row["number"], document, bool(row["by_administrator"]), bool(row["may_widen"]))


def _of_config(security: Security, notes: list[str]) -> Document:
    """Return the `security:` section as a document; an entry of before entries were checked is left out and told."""

    def read(entries: list[str] | None, one: Callable[[str], Any]) -> tuple[Any, ...] | None:
        found = []
        for entry in entries or ():
            try:
                found.append(one(entry))
            except ValueError as exc:
                notes.append(f"{CONFIG_FILE}: {exc}; it is left out.")
        return None if entries is None else tuple(found)

    return Document(
        CONFIG_FILE,
        trusted_channels=read(security.trusted_channels, read_channel),
        blocked_packages=read(security.blocked_packages, lambda entry: read_entry(entry, CONFIG_FILE)),
    )


def _of_folder(content: bytes, notes: list[str]) -> list[Part]:
    """Return the file in a workspace's folder; a broken one narrows nothing and is told."""
    source = f"{FOLDER_FILE} in the workspace's folder"
    try:
        return [Part(read_document(content, source, file=FOLDER_FILE), may_widen=False)]
    except InvalidInput as exc:
        notes.append(f"{exc.message} The file holds nothing until that is mended.")
        return []


def replaced(inputs: Inputs, document: Document, *, of_platform: bool, by_administrator: bool) -> Inputs:
    """Return the inputs as they would be if somebody set a document."""
    revision = Revision(0, document, by_administrator, by_administrator)
    if of_platform:
        return replace(inputs, platform=revision)
    if by_administrator:
        return replace(inputs, administrators=revision, workspace=None)
    return replace(inputs, workspace=revision)
