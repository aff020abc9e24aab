"""`WORKSPACE:path` on the command line, and plain paths of this machine."""

from typing import TYPE_CHECKING, NamedTuple

from studiolo.cli.invocation import current
from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.contract.files import FileKind

if TYPE_CHECKING:
    from studiolo.sdk import Studiolo


class FilePlace(NamedTuple):
    """A path in a workspace; an empty one is its folder."""

    workspace: str
    path: str

    def below(self, name: str) -> "FilePlace":
        """Return the place of a name in this folder."""
        return FilePlace(self.workspace, f"{self.path}/{name}" if self.path else name)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.workspace}:{self.path}"


def find_place(text: str) -> FilePlace | None:
    """Return the place that `WORKSPACE:path` names; None for a path of this machine.

    What begins with `/`, `./`, `../` or `~` is one of this machine, whatever follows.
    """
    workspace, colon, path = text.partition(":")
    if not colon or not workspace or text.startswith(("/", ".", "~")):
        return None
    return FilePlace(workspace, path.strip("/"))


def place_of(text: str, *, with_path: bool = True) -> FilePlace:
    """Return the place that `WORKSPACE:path` names, `WORKSPACE` alone its folder unless a path is needed.

    Raises InvalidInput (`usage-invalid`).
    """
    place = find_place(text)
    if place is None and ":" not in text:
        place = FilePlace(text, "")
    if place is None or (with_path and not place.path):
        raise InvalidInput(
            "usage-invalid",
            f"{text!r} names no file in a workspace.",
            hint=f"Write WORKSPACE:path, for example: {current().program} ls churn:notebooks",
        )
    return place


def is_folder(client: "Studiolo", place: FilePlace) -> bool:
    """Tell whether a folder is there; links to folders are none."""
    if not place.path:
        return True
    try:
        return client.files.info(place.workspace, place.path).kind is FileKind.FOLDER
    except NotFound as exc:
        if exc.code != "file-not-found":
            raise
        return False
