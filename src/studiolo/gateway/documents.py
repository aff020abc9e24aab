"""Document sessions: which notebook or console is joined to which kernel, per scope, kept over restarts.

Jupyter calls them sessions. Source: jupyter_server 2.21, services/sessions/sessionmanager.py.
"""

import contextlib
import re
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studiolo.contract.errors import LimitReached, NotFound
from studiolo.gateway.starting.plans import read_json, replace_json

_MOST = 1000
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class Document:
    """A notebook, console or file joined to a kernel. `path`: as the client names it, unique in its scope."""

    id: str
    path: str
    name: str
    type: str
    kernel_id: str

    def model(self, kernel: dict[str, Any]) -> dict[str, Any]:
        """Return the document session as Jupyter's API shows it."""
        shown: dict[str, Any] = {"id": self.id, "path": self.path, "name": self.name, "type": self.type}
        shown["kernel"] = kernel
        if self.type == "notebook":
            # What clients of 2015 read; jupyter_server still sends it.
            shown["notebook"] = {"path": self.path, "name": self.name}
        return shown


class Documents:
    """All document sessions; one file per scope, replaced whole. Survives processes, as kernels do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scopes: dict[str, dict[str, Document]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in folder.glob("*.json"):
            self._scopes[file.stem] = _read(file)

    def list(self, scope: str) -> list[Document]:
        """Return a scope's document sessions, the oldest first."""
        return list(self._scopes.get(scope, {}).values())

    def get(self, scope: str, document_id: str) -> Document:
        """Return one. Raises NotFound."""
        found = self._scopes.get(scope, {}).get(document_id)
        if found is None:
            raise NotFound("document-session-not-found", f"Session not found: session_id='{document_id[:64]}'")
        return found

    def find_path(self, scope: str, path: str) -> Document | None:
        """Return the one of a path."""
        return next((document for document in self.list(scope) if document.path == path), None)

    def path_of(self, scope: str, kernel_id: str) -> str | None:
        """Return the path of the document that a kernel is joined to."""
        return next((document.path for document in self.list(scope) if document.kernel_id == kernel_id), None)

    def put(self, scope: str, document: Document) -> None:
        """Add or replace one, on disk when this returns. Raises LimitReached, OSError."""
        changed = {**self._scopes.get(scope, {}), document.id: document}
        if len(changed) > _MOST:
            raise LimitReached(
                "limit-exceeded", f"There are {_MOST} notebooks with kernels already.", hint="Close some of them."
            )
        self._write(scope, changed.values())
        self._scopes[scope] = changed

    def remove(self, scope: str, document_id: str) -> None:
        """Forget one; success if it is not there. A full disk costs only that: without its kernel nobody sees it."""
        kept = {key: value for key, value in self._scopes.get(scope, {}).items() if key != document_id}
        self._scopes[scope] = kept
        with contextlib.suppress(OSError):
            self._write(scope, kept.values())

    def forget_kernel(self, scope: str, kernel_id: str) -> None:
        """Forget all that were joined to a kernel."""
        for document in self.list(scope):
            if document.kernel_id == kernel_id:
                self.remove(scope, document.id)

    def _write(self, scope: str, documents: Iterable[Document]) -> None:
        if not _SCOPE.fullmatch(scope):
            raise ValueError(f"no scope: {scope!r}")
        file = self._folder / f"{scope}.json"
        content = [asdict(document) for document in documents]
        if content:
            replace_json(file, content)
        else:
            file.unlink(missing_ok=True)


def new_id() -> str:
    """Return an id as Jupyter gives them: a UUID."""
    return str(uuid.uuid4())


def _read(file: Path) -> dict[str, Document]:
    try:
        documents = [Document(**members) for members in read_json(file) or []]
    except TypeError:
        return {}
    return {document.id: document for document in documents}
