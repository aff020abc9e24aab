"""Environment variables of kernels, and which of them a client may choose.

Of a request's `env`, names that begin with `KERNEL_` reach the kernel, and those that the host's list of allowed
names has (`*`: all); others are left out without a word, as Jupyter Kernel Gateway does (its `env_whitelist`).
`KERNEL_USERNAME` always is the login's, `KERNEL_GATEWAY` always 1: by it code knows that its kernel is behind one.
Source: Jupyter Enterprise Gateway, "KERNEL_* variables".
"""

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from studiolo.contract.errors import InvalidInput
from studiolo.contract.sizes import parse_size
from studiolo.gateway.base import Caller, Wish

_PREFIX = "KERNEL_"
_USER = "KERNEL_USERNAME"
_CPU = ("KERNEL_CPU", "KERNEL_CPUS")
_MEMORY = "KERNEL_MEMORY"
# With less no kernel of any language gets as far as saying so.
_LEAST_MEMORY = 16 * 1024 * 1024
# What belongs to the host's own process, or to the gateway that it stands in for: nothing of it reaches a kernel.
_OWN = re.compile(
    r"NOTIFY_SOCKET|STUDIOLO_GATEWAY_.*|STUDIOLO_KEY.*|[KE]G_AUTH_TOKEN|JPY_PARENT_PID|JUPYTER_TOKEN|PYTHONEXECUTABLE"
)


def kernel_variables(
    base: Mapping[str, str], wish: Wish, caller: Caller, *, allowed: Collection[str] = ()
) -> dict[str, str]:
    """Return the whole environment of a kernel: `base`, and what the client may add."""
    all_allowed = "*" in allowed
    chosen = {
        name: value
        for name, value in wish.variables.items()
        if name.startswith(_PREFIX) or all_allowed or name in allowed
    }
    ours = {_USER: caller.person_name, "KERNEL_ID": wish.kernel_id or "", "KERNEL_GATEWAY": "1"}
    return {**base, **chosen, **ours}


def without_own(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a host's own environment as its kernels may have it."""
    return {name: value for name, value in variables.items() if not _OWN.fullmatch(name)}


def session_name(root: Path, wish: Wish) -> dict[str, str]:
    """Return the variable by which a kernel knows its notebook. Source: jupyter_server, get_kernel_env."""
    return {"JPY_SESSION_NAME": str(root / wish.path.strip("/"))} if wish.path else {}


def inside(environment: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables as they are when an environment is activated."""
    path = f"{environment / 'bin'}:{variables.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    name = "CONDA_PREFIX" if (environment / "conda-meta").is_dir() else "VIRTUAL_ENV"
    kept = {key: value for key, value in variables.items() if key not in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME")}
    return {**kept, "PATH": path, name: str(environment)}


def cpu_wish(variables: Mapping[str, str]) -> float | None:
    """Return the processors that a client asked for. Raises InvalidInput."""
    given = next((variables[name] for name in _CPU if variables.get(name)), None)
    if given is None:
        return None
    try:
        cpu = float(given)
    except ValueError:
        cpu = math.nan
    if not 0.01 <= cpu <= 4096:
        raise InvalidInput("request-invalid", f"KERNEL_CPUS: {given[:64]!r} is no number of processors.")
    return cpu


def memory_wish(variables: Mapping[str, str]) -> int | None:
    """Return the bytes of memory that a client asked for, `512M` or `2GiB` say. Raises InvalidInput."""
    given = variables.get(_MEMORY)
    if not given:
        return None
    try:
        memory = parse_size(given)
    except ValueError as exc:
        raise InvalidInput("request-invalid", f"KERNEL_MEMORY: {exc}") from exc
    if memory < _LEAST_MEMORY:
        raise InvalidInput("request-invalid", "KERNEL_MEMORY: no kernel starts with less than 16 MiB.")
    return memory


def refuse_what_is_not_here(variables: Mapping[str, str]) -> None:
    """Raise InvalidInput for what only engines with containers or GPUs can give, rather than leave it out."""
    if variables.get("KERNEL_IMAGE"):
        raise InvalidInput("image-not-supported", "Kernels here run in environments, not in images.")
    if variables.get("KERNEL_GPUS", "0") not in ("", "0"):
        raise InvalidInput("gpu-not-available", "There are no GPUs that kernels here could ask for.")
    if variables.get("KERNEL_VOLUMES"):
        raise InvalidInput("request-invalid", "KERNEL_VOLUMES: kernels here run on this machine's own folders.")
