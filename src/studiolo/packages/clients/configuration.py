"""Variables and files that lead every tool to our index."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import tomli_w

from studiolo.packages.clients.netrc import entry

_WRITTEN = "# Written by Studiolo at each start; what is changed here is lost.\n"


@dataclass(frozen=True, slots=True)
class Index:
    """Our index as workloads reach it. `address`: of the front door, without a trailing slash.

    `certificates`: bundle to trust, None where the usual one does. `channels`: conda channels by name, in order, with
    the address that each is known by elsewhere (empty: unknown). `usual`: those of them that are asked where nobody
    names one; none: all. One that does not answer stops conda, whatever is asked of the others.
    """

    address: str
    certificates: Path | None = None
    channels: Mapping[str, str] = field(default_factory=dict)
    usual: Collection[str] = ()

    @property
    def asked(self) -> list[str]:
        """Our addresses of the channels that are asked where nobody names one."""
        return [f"{self.conda}/{name}" for name in self.channels if name in (self.usual or self.channels)]

    @property
    def simple(self) -> str:
        """The PyPI side."""
        return f"{self.address}/pypi/simple/"

    @property
    def conda(self) -> str:
        """What the names of conda channels are appended to."""
        return f"{self.address}/conda"

    @property
    def host(self) -> str:
        """Its host name, as netrc files and pip know it."""
        return urlsplit(self.address).hostname or ""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a workload's tools keep things. `environment`: the prefix that it runs in; `settings`: a person's own
    folder for files of tools in a workspace; `cache`: what can be loaded again."""

    environment: Path
    settings: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a workload gets. `files`: contents by absolute path. `netrc`: lines for a private file, which are secret."""

    variables: Mapping[str, str]
    files: Mapping[str, str]
    netrc: str = field(repr=False)


def configure(index: Index, places: Places, login: str, key: str) -> Configuration:
    """Return what leads pip, uv, poetry, pdm, conda, mamba and pixi to `index`, where they sign in with `key`."""
    conda, pip = places.settings / "condarc", places.settings / "pip.conf"
    pixi = places.settings / "pixi"
    variables = {
        "STUDIOLO_INDEX": index.address,
        "PIP_INDEX_URL": index.simple,
        "PIP_CONFIG_FILE": str(pip),
        "PIP_CACHE_DIR": str(places.cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_DEFAULT_INDEX": index.simple,
        "UV_CACHE_DIR": str(places.cache / "uv"),
        "PDM_PYPI_URL": index.simple,
        # Poetry asks its plug-in poetry-plugin-pypi-mirror, or a source that its project names.
        "POETRY_PYPI_MIRROR_URL": index.simple,
        "POETRY_CACHE_DIR": str(places.cache / "poetry"),
        "CONDARC": str(conda),
        "MAMBARC": str(conda),
        "PIXI_HOME": str(pixi),
    }
    files = {
        # By the file of the environment even `pip --isolated` goes there.
        **dict.fromkeys((str(pip), str(places.environment / "pip.conf")), _pip(index)),
        str(conda): _conda(index),
        str(pixi / "config.toml"): _pixi(index),
    }
    return Configuration(variables | _trust(index), files, entry(index.host, login, key))


def _trust(index: Index) -> dict[str, str]:
    if index.certificates is not None:
        names = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        return dict.fromkeys(names, str(index.certificates))
    # pip takes nothing from a host that it cannot know for certain, unless it is told to.
    return {} if index.address.startswith("https:") or _is_loopback(index.host) else {"PIP_TRUSTED_HOST": index.host}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pip(index: Index) -> str:
    # An empty value takes back what the machine's own file says.
    return f"{_WRITTEN}[global]\nindex-url = {index.simple}\nextra-index-url =\nfind-links =\nno-index =\n"


def _conda(index: Index) -> str:
    settings = {
        "channel_alias": index.conda,
        "channels": index.asked,
        "default_channels": index.asked[:1],
        "allowlist_channels": [f"{index.conda}/{name}" for name in index.channels],
        "override_channels_enabled": False,
    }
    # JSON is YAML as well.
    return _WRITTEN + json.dumps(settings, indent=2) + "\n"


def _pixi(index: Index) -> str:
    settings = {
        "default-channels": index.asked,
        "mirrors": {known: [f"{index.conda}/{name}"] for name, known in index.channels.items() if known},
        "pypi-config": {"index-url": index.simple, "extra-index-urls": []},
    }
    return _WRITTEN + tomli_w.dumps(settings)
