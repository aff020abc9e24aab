"""What the kernel host is told of a caller: the header `X-Studiolo-Kernels` (docs/decisions/005)."""

import base64
import json
from collections.abc import Iterable

from studiolo.contract.operations import Role
from studiolo.server.principal import Principal

HEADER = "X-Studiolo-Kernels"
SEE: tuple[str, ...] = ("see",)
ALL: tuple[str, ...] = ("see", "execute", "start")


def rights_of(role: Role | None) -> tuple[str, ...]:
    """Return what a role on a workspace allows with its headless kernels."""
    if role is None:
        return ()
    return ALL if role.includes(Role.EDITOR) else SEE


def caller_header(who: Principal, *, scope: str, rights: Iterable[str], prefix: str, origin: str | None = None) -> str:
    """Return the header's value, base64url JSON. `origin`: the only one that a cookie's holder may come from."""
    caller = {
        "scope": scope,
        "rights": list(rights),
        "person": {"id": who.person_id, "name": who.name, "display_name": who.display_name},
        "login": who.login_id or who.key_id or "",
        "prefix": prefix,
        "origin": origin,
    }
    return base64.urlsafe_b64encode(json.dumps(caller).encode()).decode()
