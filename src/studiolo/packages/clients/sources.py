"""Variables by which a tool would look elsewhere than at our index; none of them reaches a workload."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_CHOOSING = {
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE"),
    *("PIP_TRUSTED_HOST", "PIP_CACHE_DIR", "PIP_CLIENT_CERT", "PIP_KEYRING_PROVIDER"),
    *("UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
    *("UV_INDEX_STRATEGY", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_CONFIG_FILE", "UV_CACHE_DIR", "UV_OFFLINE"),
    # It takes PyTorch, and what that needs, from an index of its own.
    "UV_TORCH_BACKEND",
    *("PDM_PYPI_URL", "POETRY_PYPI_MIRROR_URL", "CONDARC", "MAMBARC", "PIXI_HOME", "NETRC"),
}
# `UV_INDEX_<NAME>_USERNAME`, `…_PASSWORD`: what the platform's own index may read elsewhere is not for workloads.
_CREDENTIALS = "UV_INDEX_"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def chooses_source(name: str) -> bool:
    """Tell whether a variable of this name decides where packages come from, or with whose right."""
    return name in _CHOOSING or name.startswith(_CREDENTIALS)


def without_sources(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that do not decide where packages come from."""
    return {name: value for name, value in variables.items() if not chooses_source(name)}


def past_proxies(variables: Mapping[str, str], address: str) -> dict[str, str]:
    """Return NO_PROXY, in both spellings, with the host of `address` added; nothing where no proxy is set."""
    host = urlsplit(address).hostname
    if host is None or not any(variables.get(name) for name in _PROXIES):
        return {}
    known = variables.get("NO_PROXY") or variables.get("no_proxy") or ""
    hosts = [part for part in known.split(",") if part]
    if host not in hosts:
        hosts.append(host)
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(hosts))
