"""Images of workspaces' environments: have one made and pushed, see them, remove them."""

from collections.abc import Callable

from studiolo.contract.errors import Conflict, Denied, InvalidInput, StudioloError, Unavailable
from studiolo.contract.images import EnvironmentImage, ImageBuild
from studiolo.contract.models import Page
from studiolo.sdk.forms import fill
from studiolo.sdk.transport import Transport, segment

_LOOK_SECONDS = 25.0
_TELL_SECONDS = 1.0
_CLASSES: dict[str, type[StudioloError]] = {
    "package-refused": Denied,
    "image-not-allowed": InvalidInput,
    "image-unfit": InvalidInput,
    "image-cancelled": Conflict,
}


class Images:
    """Images of environments. `workspace`: its id, name or `owner/name`; `image`: the `id` of one, not its name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def build(self, workspace: str, *, base: str | None = None, push: bool = False) -> EnvironmentImage:
        """Have an image made of what the environment holds now; one that was made of the same is found again.

        Raises InvalidInput (`images-not-available`, `image-not-allowed`), Conflict (`image-running`,
        `limit-exceeded`).
        """
        body = fill(ImageBuild, base=base, push=push)
        return await self._transport.fetch(EnvironmentImage, "POST", _at(workspace), body=body)

    async def list(self, workspace: str) -> list[EnvironmentImage]:
        """Return its images, newest first; what is under way, or was not made, comes before."""
        return (await self._transport.fetch(Page[EnvironmentImage], "GET", _at(workspace))).items

    async def get(self, workspace: str, image: str, *, wait_seconds: float = 0) -> EnvironmentImage:
        """Return an image, once it is made or so much time has passed (60 at most). Raises NotFound."""
        asked = {"wait": wait_seconds or None}
        return await self._transport.fetch(EnvironmentImage, "GET", _at(workspace, image), query=asked)

    async def wait(
        self, workspace: str, image: str, *, tell: Callable[[EnvironmentImage], None] | None = None
    ) -> EnvironmentImage:
        """Return an image once it is made, and pushed if that was asked for. `tell` is given what is known by then.

        Raises what stood in its way: Denied (`package-refused`), InvalidInput (`image-unfit`), Conflict
        (`image-cancelled`), Unavailable (`image-failed`, `image-not-pushed`).
        """
        seconds = _LOOK_SECONDS if tell is None else _TELL_SECONDS
        while (found := await self.get(workspace, image, wait_seconds=seconds)).state in ("building", "pushing"):
            if tell is not None:
                tell(found)
        if found.state != "ready":
            cls = _CLASSES.get(found.code or "", Unavailable)
            raise cls(found.code or "image-failed", found.message or f"The image is {found.state}.")
        return found

    async def remove(self, workspace: str, image: str) -> None:
        """Remove an image; cancel it while it is being made. Raises NotFound, Conflict (`image-in-use`)."""
        await self._transport.send("DELETE", _at(workspace, image))


def _at(workspace: str, image: str | None = None) -> str:
    path = f"/jupyter/workspaces/{segment(workspace, what='workspace')}/environment/images"
    return path if image is None else f"{path}/{segment(image, what='image')}"
