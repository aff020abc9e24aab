"""Which addresses are Jupyter's own API of kernels, and whose kernels they are about."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from studiolo.server.kernels.lookup import is_kernel_id

_WORKSPACE = re.compile(r"/w/([^/]+)/(?:api|kernelspecs)(?:/|$)")
_ROOT = re.compile(
    r"/api/?$|/api/(?:status|me|swagger\.yaml|swagger\.json)$|/api/(?:kernels|kernelspecs|sessions)(?:/|$)|/kernelspecs/"
    r"|/kernels/[^/]+/(?:interrupt|restart)$"
)
_SESSION = re.compile(r"/s/[^/]+/api/(?:kernels|sessions|kernelspecs)(?:/|$)")
_KERNEL = re.compile(r"(?:/api)?/kernels/([^/]+)(?:/|$)")


@dataclass(frozen=True, slots=True)
class Place:
    """`root`: below the platform's own name, `reference` a kernel's id or empty; else below `/w/{reference}/`.

    `kernel`: the id of the one that an address below a workspace is about, else empty.
    """

    kind: Literal["root", "workspace"]
    reference: str
    prefix: str
    kernel: str = ""


def find_place(path: str) -> Place | None:
    """Return the place that a raw path leads to; None for all other paths. The Caddyfile knows the same paths."""
    if found := _WORKSPACE.match(path):
        reference = unquote(found[1])
        return Place("workspace", reference, f"/w/{reference}/", _kernel_of(path[found.end(1) :]))
    if _ROOT.match(path):
        return Place("root", _kernel_of(path), "/")
    return None


def _kernel_of(path: str) -> str:
    named = _KERNEL.match(path)
    return named[1].lower() if named and is_kernel_id(named[1]) else ""


def is_of_session(path: str) -> bool:
    """Tell whether a raw path is a session's API of kernels, which its host answers and not its own server."""
    return bool(_SESSION.match(path))
