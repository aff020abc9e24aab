"""Datasets: folders of the platform's machine that sessions may read."""

from collections.abc import Sequence

from studiolo.contract.datasets import Dataset, DatasetCreate, DatasetUpdate
from studiolo.contract.models import Page
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/datasets"


class Datasets:
    """See datasets; administrators register, change and remove them. A dataset is named by name or id.

    In sessions and kernels each lies under its name in `$STUDIOLO_DATASETS`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, everything: bool = False, page_size: int | None = None) -> Listing[Dataset]:
        """Return those that you may read somewhere; `everything`: all of the platform, for administrators."""

        async def fetch(cursor: str | None) -> Page[Dataset]:
            asked = {"all": everything or None, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Dataset], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def create(
        self,
        name: str,
        folder: str,
        *,
        description: str = "",
        everybody: bool = False,
        people: Sequence[str] = (),
        workspaces: Sequence[str] = (),
    ) -> Dataset:
        """Register a folder of the platform's machine, for everybody or for those named.

        Raises InvalidInput (`folder-not-found`, `folder-not-allowed`, `name-invalid`), Conflict (`dataset-exists`).
        """
        readers = {"everybody": everybody, "people": list(people), "workspaces": list(workspaces)}
        body = fill(DatasetCreate, name=name, folder=folder, description=description, **readers)
        return await self._transport.fetch(Dataset, "POST", _PATH, body=body)

    async def update(
        self,
        dataset: str,
        *,
        folder: str | None = None,
        description: str | None = None,
        everybody: bool | None = None,
        people: Sequence[str] | None = None,
        workspaces: Sequence[str] | None = None,
    ) -> Dataset:
        """Change a dataset; what is None stays, and running sessions see it at once.

        Raises NotFound (`dataset-not-found`).
        """
        body = fill(
            DatasetUpdate,
            folder=folder,
            description=description,
            everybody=everybody,
            people=None if people is None else list(people),
            workspaces=None if workspaces is None else list(workspaces),
        )
        return await self._transport.fetch(Dataset, "PATCH", f"{_PATH}/{segment(dataset, what='dataset')}", body=body)

    async def delete(self, dataset: str) -> None:
        """Take a dataset off the register; its folder stays. Raises NotFound (`dataset-not-found`)."""
        await self._transport.send("DELETE", f"{_PATH}/{segment(dataset, what='dataset')}")
