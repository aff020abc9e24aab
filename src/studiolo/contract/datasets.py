"""Wire models of datasets."""

from datetime import datetime

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire, WorkspaceRef


class Dataset(Wire):
    """A folder of the platform's machine that sessions may read, under its name.

    `folder` and `readers` are told to administrators alone; others see those that they may read.
    """

    id: str
    name: str
    description: str
    everybody: bool = Field(description="Whether everybody may read it.")
    folder: str | None
    people: list[PersonRef] | None = Field(description="Who else may read it, in every workspace of theirs.")
    workspaces: list[WorkspaceRef] | None = Field(description="Workspaces all of whose sessions may read it.")
    is_there: bool = Field(description="Whether the folder can be read now.")
    created_at: datetime
    modified_at: datetime


class DatasetCreate(Request):
    """Register a folder of the platform's machine, for everybody or for those who are named."""

    name: str = Field(examples=["billing-2026"])
    folder: str = Field(max_length=4096, examples=["/srv/data/billing"])
    description: str = Field("", max_length=2000)
    everybody: bool = False
    people: list[str] = Field(default_factory=list, max_length=500, description="Names, e-mails or ids.")
    workspaces: list[str] = Field(default_factory=list, max_length=500, description="owner/name or ids.")


class DatasetUpdate(Request):
    """Change a dataset; what is left out stays. `people` and `workspaces` replace those before."""

    folder: str | None = Field(None, max_length=4096)
    description: str | None = Field(None, max_length=2000)
    everybody: bool | None = None
    people: list[str] | None = Field(None, max_length=500)
    workspaces: list[str] | None = Field(None, max_length=500)
