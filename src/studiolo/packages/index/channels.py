"""Where packages come from: channels by name, in the order in which they are asked."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import uv

from studiolo.contract.errors import InvalidInput

# What a policy's `trusted_channels` calls the index that this machine's own tools are configured with.
DEFAULT = "defaults"
_ASK_SECONDS = 15
_OF_PIP = re.compile(r"^(install|global)\.index-url='([^'\n]+)'$", re.MULTILINE)
_BUILT_IN = re.compile(r"by default: <(https?://[^>\s]+)>")


@dataclass(frozen=True, slots=True)
class Channel:
    """An index. `url`: of its `simple` pages, ending in `/`; `authorization`: what its own host wants, or None."""

    name: str
    url: str
    authorization: str | None = field(default=None, repr=False)

    def page(self, project: str) -> str:
        """Return the address of a project's page."""
        return f"{self.url}{project}/"


def make_channel(name: str, url: str) -> Channel:
    """Return a channel; its address may hold a name and a password. Raises InvalidInput (`settings-invalid`)."""
    if not url.startswith(("https://", "http://")):
        raise InvalidInput(
            "settings-invalid",
            f"The index of channel {name!r} is not reached by HTTP.",
            hint="Name one by packages.indexes or packages.index_url: https://…/simple/",
        )
    parts = urlsplit(url)
    own = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    authorization = None
    if parts.username is not None:
        member = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(member.encode()).decode()
    return Channel(name, own.geturl().rstrip("/") + "/", authorization)


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels: of PyPI's kind in the order in which they are asked, of conda's by name.

    `missing`: why there is no channel `defaults`, where it cannot be found.
    """

    indexes: tuple[Channel, ...]
    conda: Mapping[str, str] = field(default_factory=dict, repr=False)
    missing: InvalidInput | None = None


def write_channels(indexes: Mapping[str, str], conda: Mapping[str, str]) -> str:
    """Return the text of the file that `read_channels` reads; the order counts."""
    return json.dumps({"indexes": dict(indexes), "conda": dict(conda)})


def read_channels(file: Path) -> Channels:
    """Return the channels named in a file, and last the machine's own index where none is called `defaults`.

    Raises OSError, ValueError.
    """
    named = json.loads(file.read_text())
    found = [make_channel(name, url) for name, url in named["indexes"].items()]
    if DEFAULT not in named["indexes"]:
        try:
            found.append(make_channel(DEFAULT, find_default_index(os.environ)))
        except InvalidInput as exc:
            return Channels(tuple(found), named["conda"], exc)
    return Channels(tuple(found), named["conda"])


def find_default_index(variables: Mapping[str, str]) -> str:
    """Return the index that uv or pip would use here: as configured, else what uv has built in.

    Lists of further indexes and folders of wheels (`extra-index-url`, `find-links`) do not count: a project has one
    owner. Takes a second where pip must be asked. Raises InvalidInput (`settings-invalid`).
    """
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if variables.get(name):
            # uv takes NAME=URL as well.
            return re.sub(r"^[\w.-]+=(?=https?://)", "", variables[name])
    for file in _uv_files(variables):
        if url := _in_uv_file(file):
            return url
    if url := _in_pip(variables) or _built_into_uv():
        return url
    raise InvalidInput(
        "settings-invalid",
        "No package index is configured on this machine, and neither uv nor pip can be asked for theirs.",
        hint="Name one by the setting packages.index_url.",
    )


def _uv_files(variables: Mapping[str, str]) -> Iterator[Path]:
    if named := variables.get("UV_CONFIG_FILE"):
        yield Path(named)
        return
    if variables.get("UV_NO_CONFIG"):
        return
    home = Path(variables.get("HOME") or "~").expanduser()
    yield Path(variables.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    yield from (Path("/etc/xdg/uv/uv.toml"), Path("/etc/uv/uv.toml"))


def _in_uv_file(file: Path) -> str | None:
    try:
        found = tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return None
    indexes = found.get("index")
    listed = [one for one in indexes if isinstance(one, Mapping)] if isinstance(indexes, list) else []
    pip = found.get("pip")
    urls = [one.get("url") for one in listed if one.get("default")]
    urls += [found.get("index-url"), pip.get("index-url") if isinstance(pip, Mapping) else None]
    return next((url for url in urls if isinstance(url, str) and url), None)


def _in_pip(variables: Mapping[str, str]) -> str | None:
    """Ask pip for what its files say; what is said of installing counts more."""
    other = shutil.which("pip", path=variables.get("PATH")) or shutil.which("pip3", path=variables.get("PATH"))
    for command in ([sys.executable, "-m", "pip"], [other] if other else []):
        # pip's own `config get` leaves out what PIP_CONFIG_FILE names.
        listed = _output(*command, "config", "list", variables=variables) if command else ""
        found: dict[str, str] = dict(_OF_PIP.findall(listed))
        if url := found.get("install") or found.get("global"):
            return url
    return None


def _built_into_uv() -> str | None:
    found = _BUILT_IN.search(_output(uv.find_uv_bin(), "pip", "install", "--help", variables={}))
    return found[1] if found else None


def _output(*command: str, variables: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, env=dict(variables), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
