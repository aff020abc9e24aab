"""Settings of packages: where they come from."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from studiolo.server.settings.durations import Duration


def _http(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return url


Address = Annotated[str, AfterValidator(_http)]


class PackageSettings(BaseModel):
    """The channels that packages come from."""

    index_url: Address = Field(
        "",
        description="The `simple` pages of the index that is the channel `defaults`; empty: what uv or pip of this "
        "machine are configured with, else what they have built in.",
    )
    indexes: dict[str, Address] = Field(
        default_factory=dict,
        description="Further indexes by the name of their channel, asked before `defaults` in this order: the first "
        "that has a project is its only source.",
    )
    conda_channels: dict[str, Address] = Field(
        default_factory=dict,
        description="Addresses of conda channels by name; others are where this machine's conda configuration says.",
    )
    requests: bool = Field(
        True, description="Whether people may ask for packages here; `off`: refusals say whom to ask."
    )
    osv_folder: Path | None = Field(
        None,
        description="An OSV export that scans look vulnerabilities up in: a zip file, or a folder of `*.json` and "
        "`*.zip`. It is read again when it changes. None: vulnerabilities are reported as unknown.",
    )
    fresh: Duration = Field(
        timedelta(minutes=5), description="What an index or a channel lists is used so long without asking again."
    )
