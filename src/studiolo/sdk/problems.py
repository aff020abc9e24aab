"""Turn error replies back into the error that the server raised."""

from collections.abc import Mapping
from typing import Any

import httpx

from studiolo.contract.errors import HTTP_STATUS, KINDS, Internal, StudioloError, Unavailable

_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "kind", "hint", "instance"})


def error_from(reply: httpx.Response) -> StudioloError:
    """Return the error that a reply of status 400 or more stands for (RFC 9457 problem, or none of ours)."""
    problem = _problem(reply)
    return _error_without_problem(reply) if problem is None else error_of(problem, reply.status_code)


def error_of(problem: Mapping[str, Any], status: int) -> StudioloError:
    """Return the error that a problem object stands for; `status` decides where it names no kind that we know."""
    cls = KINDS.get(str(problem.get("kind"))) or _class_for(status)
    extra = {name: value for name, value in problem.items() if name not in _MEMBERS}
    message = str(problem.get("detail") or problem.get("title") or "The platform refused this.")
    hint = problem.get("hint")
    error = cls("internal", message, hint=str(hint) if hint else None)
    error.extra = extra
    # A newer server may know codes that this client does not; the class still says what to do.
    error.code = str(problem.get("code"))
    return error


def not_studiolo(url: str) -> Unavailable:
    """Return the error for a reply that no Studiolo would give."""
    return Unavailable(
        "control-plane-unreachable",
        f"What answers at {url} is not Studiolo.",
        hint="Check the address and the port.",
    )


def _problem(reply: httpx.Response) -> dict[str, Any] | None:
    if "json" not in reply.headers.get("content-type", ""):
        return None
    try:
        content = reply.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) and "code" in content else None


def _class_for(status: int) -> type[StudioloError]:
    kinds = {number: kind for kind, number in HTTP_STATUS.items()}
    return KINDS.get(kinds.get(status, ""), Internal)


def _error_without_problem(reply: httpx.Response) -> StudioloError:
    origin = f"{reply.url.scheme}://{reply.url.netloc.decode()}"
    if reply.status_code in (502, 503, 504):
        return Unavailable(
            "control-plane-unreachable",
            f"The platform at {origin} is starting or one of its parts is down.",
            hint="Try again in a moment; `studiolo doctor` on its machine says what is wrong.",
        )
    if reply.status_code >= 500:
        return Internal("internal", f"The platform at {origin} failed (status {reply.status_code}).")
    return not_studiolo(origin)
