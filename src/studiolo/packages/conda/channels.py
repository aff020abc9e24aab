"""Where channels are: as the platform's settings say, else as this machine's own conda configuration does."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from rattler import Channel
from rattler.exceptions import InvalidChannelError

# One segment of an address; labels and addresses in the place of names are not served.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
SUBDIR = re.compile(r"noarch|[a-z0-9]+-[a-z0-9_]+", re.ASCII)
_ALIAS = "CONDA_CHANNEL_ALIAS"
# Asked where nobody says where any channel is.
_USUAL = "conda-forge"
# The machine's files, then the account's, the strongest last. Source: conda, "Using the .condarc file".
_FILES = ("/etc/conda/.condarc", "/etc/conda/condarc", "~/.conda/.condarc", "~/.conda/condarc", "~/.condarc")


class Channels:
    """Addresses of channels by name. `named`: those of the settings, which win; the rest is this machine's."""

    def __init__(self, named: Mapping[str, str], *, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        configured = _read_configuration(variables)
        self._named = {**_custom(configured), **{name: url.rstrip("/") for name, url in named.items()}}
        alias = variables.get(_ALIAS) or configured.get("channel_alias")
        self._alias = alias.rstrip("/") if isinstance(alias, str) else None

    @property
    def named(self) -> list[str]:
        """Names whose addresses the settings or this machine's configuration give."""
        return list(self._named)

    @property
    def usual(self) -> list[str]:
        """Names of the channels that are asked where nobody names one, as far as they are trusted."""
        return self.named or [_USUAL]

    def name_of(self, text: str) -> str:
        """Return the name of the channel at an address; what is no known address is taken for a name."""
        address = text.rstrip("/")
        return next((name for name in self._named if self._named[name] == address), text)

    def find_address(self, name: str) -> str | None:
        """Return the address, without a slash at its end; None for what is no channel's name.

        A name that nothing says anything of is where py-rattler has it built in.
        """
        if not _NAME.fullmatch(name):
            return None
        if name in self._named:
            return self._named[name]
        if self._alias is not None:
            return f"{self._alias}/{name}"
        try:
            return str(Channel(name).base_url).rstrip("/")
        except InvalidChannelError:
            return None


def _read_configuration(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return what the files of conda's configuration say together; one that cannot be read says nothing."""
    found: dict[str, Any] = {}
    for path in (*_FILES, variables.get("CONDARC", "")):
        try:
            read = yaml.safe_load(Path(path).expanduser().read_text()) if path else None
        except (OSError, ValueError, RuntimeError, yaml.YAMLError):
            continue
        if isinstance(read, dict):
            found |= read
    return found


def _custom(configured: Mapping[str, Any]) -> dict[str, str]:
    found = {name: f"{url}/{name}" for name, url in _addresses(configured.get("custom_channels"))}
    defaults = configured.get("default_channels")
    # The first of several: a name stands for one channel here, so that each package has one owner.
    if isinstance(defaults, list) and defaults and "://" in str(defaults[0]):
        found["defaults"] = str(defaults[0]).rstrip("/")
    return found


def _addresses(value: object) -> Iterator[tuple[str, str]]:
    for name, url in value.items() if isinstance(value, dict) else ():
        if isinstance(name, str) and isinstance(url, str) and "://" in url:
            yield name, url.rstrip("/")
