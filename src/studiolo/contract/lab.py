"""What JupyterLab of a session tells of its person, and what it shows them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from studiolo.contract.models import PersonRef, Request, Wire

Level = Literal["info", "warning", "danger"]
Deed = Literal["keep-running", "stop"]


class Here(Request):
    """What is open in a session's JupyterLab, and one thing that its person asks for."""

    open: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(default=[], max_length=200)
    do: Deed | None = None


class NoticeAction(Wire):
    """A button: its word, and what to send back as `do`, or the address to open."""

    word: str
    do: Deed | None = None
    link: str | None = None


class Notice(Wire):
    """One thing that a person in JupyterLab should know; gone from the list, it is over."""

    id: str = Field(description="The same for the same thing, so that what was dismissed stays so.")
    level: Level
    text: str = Field(description="`{until}` stands for the time `until`, as the reader's browser writes it.")
    until: datetime | None = None
    actions: list[NoticeAction] = Field(default=[])


class HereNow(Wire):
    """What to show."""

    notices: list[Notice] = Field(default=[])
    others: dict[str, list[PersonRef]] = Field(default={}, description="By path, who else has it open.")
    links: dict[str, str] = Field(default={}, description="Pages of the platform: workspace, people, environment, …")
