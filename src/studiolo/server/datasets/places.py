"""Where datasets appear: folders of links, one for each person in a workspace and one for each workspace. Blocking.

DATA/people/<p-id>/<w-id>/datasets/NAME -> folder     $STUDIOLO_DATASETS of that person's sessions and kernels
DATA/datasets/<w-id>/NAME -> folder                   `datasets` beside the workspace's notebooks leads here
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.runtime.history.place import list_names, opened

BESIDE = "datasets"


@dataclass(frozen=True, slots=True)
class Readable:
    """A dataset, and who may read it."""

    name: str
    folder: str
    everybody: bool
    people: frozenset[str]
    workspaces: frozenset[str]

    def is_for(self, workspace_id: str, person_id: str | None = None) -> bool:
        """Tell whether sessions of a workspace may read it: everybody's, or a person's."""
        return self.everybody or workspace_id in self.workspaces or person_id in self.people


class Places:
    """The folders of links under a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._people = data_dir / "people"
        self._workspaces = data_dir / "datasets"

    def of_person(self, workspace_id: str, person_id: str) -> Path:
        """Return the folder of a person in a workspace."""
        return self._people / person_id / workspace_id / BESIDE

    def of_workspace(self, workspace_id: str) -> Path:
        """Return the folder of a workspace."""
        return self._workspaces / workspace_id

    def lay(self, readable: Iterable[Readable] | None, workspace_id: str, person_id: str, files: Path | None) -> None:
        """Make both folders as they should be; `files`: the workspace's folder, which gets a link beside its files.

        `readable` None: it is not known yet; the folders are only made, so that `lay_again` finds them.
        """
        if readable is None:
            for place in (self.of_person(workspace_id, person_id), self.of_workspace(workspace_id)):
                with _entered(place):
                    pass
            return
        readable = list(readable)
        of_all = {one.name: one.folder for one in readable if one.is_for(workspace_id)}
        own = {one.name: one.folder for one in readable if one.is_for(workspace_id, person_id)}
        _make_links(self.of_person(workspace_id, person_id), own)
        _make_links(self.of_workspace(workspace_id), of_all)
        if files is not None:
            _link_beside(files, self.of_workspace(workspace_id), is_wanted=bool(of_all))

    def lay_again(self, readable: Iterable[Readable]) -> None:
        """Bring all folders there are up to date: what somebody may no longer read goes from running sessions too."""
        readable = list(readable)
        for place, workspace_id, person_id in self._known():
            # Where its people made something else of it, no other is kept from its turn.
            with contextlib.suppress(OSError):
                _make_links(place, {one.name: one.folder for one in readable if one.is_for(workspace_id, person_id)})

    def _known(self) -> Iterator[tuple[Path, str, str | None]]:
        for place in self._people.glob(f"*/*/{BESIDE}"):
            if not place.is_symlink():
                yield place, place.parent.name, place.parent.parent.name
        if self._workspaces.is_dir():
            for place in self._workspaces.iterdir():
                if looks_like_id(place.name, IdKind.WORKSPACE):
                    yield place, place.name, None


@contextlib.contextmanager
def _entered(place: Path) -> Iterator[int]:
    """Open a folder of links as its workspace's account, making it."""
    top, inner = (place.parent, (BESIDE,)) if place.name == BESIDE else (place, ())
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(top, inner, make=True) as folder:
        yield folder


def _make_links(place: Path, wanted: Mapping[str, str]) -> None:
    """Have exactly these links in a folder; anything else that somebody put there stays."""
    with _entered(place) as folder:
        for name in list_names(folder):
            if _target(name, folder) not in (None, wanted.get(name)):
                os.unlink(name, dir_fd=folder)
        for name, target in wanted.items():
            with contextlib.suppress(FileExistsError):
                os.symlink(target, name, dir_fd=folder)


def _link_beside(files: Path, place: Path, *, is_wanted: bool) -> None:
    with contextlib.suppress(FileNotFoundError), opened(files) as folder:
        found = _target(BESIDE, folder)
        # A copied or restored workspace has the link of its original.
        if found is not None and _is_ours(Path(found)) and (found != str(place) or not is_wanted):
            os.unlink(BESIDE, dir_fd=folder)
        if is_wanted:
            # A folder of that name is somebody's own, and stays.
            with contextlib.suppress(FileExistsError):
                os.symlink(place, BESIDE, dir_fd=folder)


def _target(name: str, folder: int) -> str | None:
    """Return where a link leads; None for anything else, and nothing."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _is_ours(target: Path) -> bool:
    return target.parent.name == BESIDE and looks_like_id(target.name, IdKind.WORKSPACE)
