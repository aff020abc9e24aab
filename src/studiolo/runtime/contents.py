"""Files of a session: a save never overwrites what its writer has not seen, and nothing that goes is lost at once."""

import asyncio
import os
from base64 import decodebytes
from collections import Counter
from contextvars import ContextVar
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.paths import is_hidden
from jupyter_server import CallContext
from jupyter_server.services.contents.handlers import ContentsHandler
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

from studiolo.runtime.history.knowing import Known
from studiolo.runtime.history.place import opened, read_file
from studiolo.runtime.history.saving import Outcome, keep_once, save
from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import MOST_BYTES, Versions, is_versioned
from studiolo.runtime.refusals import conflict, refusal

# The digest of what a request's client says it has loaded.
_client_knows: ContextVar[str | None] = ContextVar("_client_knows", default=None)


class WorkspaceContents(AsyncLargeFileManager):
    """Reads as jupyter_server does; saves by `history.saving`, deletes to the workspace's trash.

    A save is refused (409) if the file holds neither what this session last gave out or wrote, nor what the client
    says that it loaded (member `hash` of the model, a SHA-256), nor what is saved. It is kept as a version then; the
    answer's `reason` is `conflict-` and the version's id.
    Says in a notebook's `message` when two cells have the same name: nbformat 4, cell metadata: `name` is "unique
    among all cells, verified outside of the JSON schema".
    """

    @cached_property
    def _versions(self) -> Versions:
        return Versions(Path(self.root_dir))

    @cached_property
    def _known(self) -> Known:
        return Known()

    @cached_property
    def _being_kept(self) -> dict[str, asyncio.Task[None]]:
        return {}

    async def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,
        format: str | None = None,
        require_hash: bool = False,
    ) -> dict[str, Any]:
        """Return a model, with its hash where there is content; remember what a client was given or told."""
        if not _is_read_by_client():
            return await self._get(path, content, type, format, require_hash)
        real = self._real(path)
        written = self._known.take_written(real)
        if written is not None and require_hash and not content:
            # JupyterLab asks so after each save, and believes that it is its own content's: another one's save in
            # between must not be taken for seen.
            return await self._get(path, False, type, format, False) | {"hash": written, "hash_algorithm": "sha256"}
        model = await self._get(path, content, type, format, require_hash or content)
        if model["hash"] is not None:
            self._known.see(real, model["hash"])
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Save a file or notebook; see the class for what is refused. The answer has the content's hash."""
        os_path = self._os_path(path)
        if model.get("chunk") == 1:
            # What comes in pieces is written in its place; whoever sent it has agreed to replace what is there.
            await asyncio.to_thread(self._keep_found, os_path)
        hash = model.get("hash")
        token = _client_knows.set(hash if isinstance(hash, str) else None)
        try:
            saved: dict[str, Any] = await super().save(model, path)  # type: ignore[no-untyped-call]
        finally:
            _client_knows.reset(token)
        if model.get("chunk") == -1:
            await asyncio.to_thread(self._keep_found, os_path, how="session", by=_person())
        if (known := self._known.find(self._real(path))) is not None and saved["type"] != "directory":
            saved |= {"hash": known, "hash_algorithm": "sha256"}
        return saved

    async def delete_file(self, path: str) -> None:
        """Put a file or folder into the workspace's trash."""
        os_path = self._os_path(path)
        if not self.allow_hidden and is_hidden(os_path, self.root_dir):
            raise HTTPError(400, f"{path!r} is hidden, and is not deleted here.")
        inside = self._inside(os_path)
        if inside is None:
            raise HTTPError(400, f"{path!r} lies outside the workspace, or is its own folder: it is not deleted here.")
        try:
            await asyncio.to_thread(Trash(self._versions.root).discard, inside, by=_person())
        except OSError as error:
            raise refusal(error, path, "deleted") from error

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Rename a file or folder; its versions go with it."""
        before, old = self._inside(self._os_path(old_path)), self._real(old_path)
        await asyncio.gather(*self._being_kept.values())
        await super().rename_file(old_path, new_path)  # type: ignore[no-untyped-call]
        after = self._inside(self._os_path(new_path))
        if before is not None and after is not None and before != after:
            await asyncio.to_thread(self._versions.moved, before, after)
        self._known.move(old, self._real(new_path))

    async def restore_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Bring a checkpoint back; what it replaces is kept."""
        os_path = self._os_path(path)
        await asyncio.to_thread(self._keep_found, os_path)
        await super().restore_checkpoint(checkpoint_id, path)  # type: ignore[no-untyped-call]
        await asyncio.to_thread(self._keep_found, os_path, how="restore", by=_person())

    def validate_notebook_model(
        self, model: dict[str, Any], validation_error: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Called for each notebook that is read or written; a faulty one is kept all the same."""
        super().validate_notebook_model(model, validation_error)  # type: ignore[no-untyped-call]
        content = model.get("content")
        if "message" not in model and content is not None and (doubled := _doubled_names(content.get("cells", ()))):
            model["message"] = (
                f"Notebook validation failed: several cells are named {', '.join(map(repr, doubled))}. "
                "Names of cells (metadata.name) must differ."
            )
        return model

    async def _get(
        self, path: str, content: bool, type: str | None, format: str | None, require_hash: bool
    ) -> dict[str, Any]:
        found: dict[str, Any] = await super().get(  # type: ignore[no-untyped-call]
            path, content, type, format, require_hash
        )
        return found

    async def _save_notebook(
        self, os_path: str, nb: nbformat.NotebookNode, capture_validation_error: dict[str, Any] | None = None
    ) -> None:
        write = partial(nbformat.writes, version=nbformat.NO_CONVERT, capture_validation_error=capture_validation_error)
        text = await asyncio.to_thread(write, nb)
        await self._replace(os_path, (text if text.endswith("\n") else f"{text}\n").encode())

    async def _save_file(self, os_path: str, content: str, format: str | None) -> None:
        await self._replace(os_path, _bytes_of(content, format, os_path))

    async def _replace(self, os_path: str, content: bytes) -> None:
        """Save bytes. Keeping them as a version goes on after the answer; the next save of the file waits for it."""
        real, path = self._place_of(os_path)
        if (keeping := self._being_kept.get(real)) is not None:
            await keeping
        knows, by = _client_knows.get() or self._known.find(real), _person()
        try:
            outcome = await asyncio.to_thread(_save, self._versions, real, path, content, knows=knows, by=by)
        except OSError as error:
            raise refusal(error, path, "saved") from error
        if outcome.conflict is not None:
            raise conflict(path, outcome.conflict)
        self._known.write(real, outcome.hash)
        if outcome.is_written and is_versioned(path, len(content)):
            self._keep_later(real, path, content, by)

    def _keep_later(self, real: str, path: str, content: bytes, by: str) -> None:
        async def keep() -> None:
            try:
                await asyncio.to_thread(self._versions.keep, path, content, by=by, how="session")
            except OSError as error:
                # It is tried again before the file is replaced, and that waits for it.
                self.log.warning("A version of %s was not kept yet: %s", path, error)
            finally:
                del self._being_kept[real]

        self._being_kept[real] = asyncio.create_task(keep())

    def _keep_found(self, os_path: str, *, how: str | None = None, by: str = "") -> None:
        """Keep what the file holds now, if it has versions. `how`: None: somebody wrote it from outside."""
        real, path = self._place_of(os_path)
        try:
            with opened(Path(real).parent) as folder:
                content = read_file(folder, Path(real).name, most=MOST_BYTES)[0]
            if not is_versioned(path, len(content)):
                return
            if how is None:
                keep_once(self._versions, path, content)
            else:
                self._known.write(real, self._versions.keep(path, content, by=by, how=how).hash)
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(error, path, "saved") from error

    def _os_path(self, path: str) -> str:
        os_path: str = self._get_os_path(path.strip("/"))  # type: ignore[no-untyped-call]
        return os_path

    def _real(self, path: str) -> str:
        return os.path.realpath(self._os_path(path))

    def _place_of(self, os_path: str) -> tuple[str, str]:
        """Return where a file really lies, and under which path its versions are kept: the real one, if inside."""
        real = os.path.realpath(os_path)
        return real, self._inside(real) or os.path.relpath(os_path, self.root_dir)

    def _inside(self, os_path: str) -> str | None:
        """Return where in the workspace a name really stands, its own link not followed; None: not in it."""
        real = Path(os_path).parent.resolve() / Path(os_path).name
        root = Path(self.root_dir).resolve()
        return str(real.relative_to(root)) if real.is_relative_to(root) and real != root else None


def _save(versions: Versions, real: str, path: str, content: bytes, *, knows: str | None, by: str) -> Outcome:
    with opened(Path(real).parent) as folder:
        return save(versions, folder, Path(real).name, path, content, knows=knows, by=by, how="session")


def _is_read_by_client() -> bool:
    """Tell whether a client asked for the content itself: copying and converting are no reading by anybody."""
    handler = CallContext.get(CallContext.JUPYTER_HANDLER)
    return isinstance(handler, ContentsHandler) and handler.request.method == "GET"


def _person() -> str:
    user = getattr(CallContext.get(CallContext.JUPYTER_HANDLER), "current_user", None)
    return str(getattr(user, "username", ""))


def _bytes_of(content: str, format: str | None, os_path: str) -> bytes:
    if format not in ("text", "base64"):
        raise HTTPError(400, "Must specify format of file contents as 'text' or 'base64'")
    try:
        return content.encode() if format == "text" else decodebytes(content.encode("ascii"))
    except ValueError as error:
        raise HTTPError(400, f"Encoding error saving {os_path}: {error}") from error


def _doubled_names(cells: Any) -> list[str]:
    names = Counter(name for cell in cells if isinstance(name := cell.get("metadata", {}).get("name"), str))
    return [name for name, count in names.items() if count > 1]
