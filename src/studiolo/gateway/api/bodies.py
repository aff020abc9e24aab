"""Bodies of requests, read strictly: nothing of the wrong type, size or shape gets further than here."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, NoReturn, TypeGuard

from aiohttp import web

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.base import Wish

MAX_BODY_BYTES = 1 << 20
_MAX_VARIABLES = 256
_MAX_VALUE = 4096
_MAX_PATH = 1000
_MAX_NAME = 200
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
# What the system takes: shells have names such as `BASH_FUNC_x%%`, and Kernel Gateway passes any on.
_VARIABLE = re.compile(r"[^=\0\ud800-\udfff]{1,255}")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body, {} for an empty body. Raises InvalidInput."""
    try:
        data = await request.read()
    except web.RequestPayloadError as exc:
        raise _invalid("The body cannot be read: it is not packed as its Content-Encoding says.") from exc
    if not data.strip():
        return {}
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise _invalid("The body is no JSON.") from exc
    if not isinstance(found, dict):
        raise _invalid("The body is no JSON object.")
    return found


def kernel_wish(body: Mapping[str, Any]) -> Wish:
    """Read the body of `POST /api/kernels`: {name, path, env, kernel_id}, all optional."""
    return Wish(
        spec_name=text(body, "name", _MAX_NAME),
        path=path(body, "path"),
        variables=variables(body.get("env")),
        kernel_id=kernel_id(body.get("kernel_id")),
    )


def text(body: Mapping[str, Any], member: str, longest: int = _MAX_NAME) -> str | None:
    """Return a member that is a string or absent."""
    found = body.get(member)
    if found is None:
        return None
    if not _is_text(found, longest):
        raise _invalid(f"{member}: not a string of at most {longest} characters.")
    return found


def path(body: Mapping[str, Any], member: str) -> str | None:
    """Return a member that is a path relative to the scope's folder, or absent."""
    found = text(body, member, _MAX_PATH)
    if found is not None and ".." in found.split("/"):
        raise InvalidInput("path-invalid", f"{member}: the path leaves its folder.")
    return found


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a member of a query that is a number from 0 on, or absent."""
    given = query.get(name)
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise _invalid(f"{name}: not a number.")
    return int(given)


def mapping(body: Mapping[str, Any], member: str) -> dict[str, Any]:
    """Return a member that is an object or absent."""
    found = body.get(member)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _invalid(f"{member}: not an object.")
    return found


def variables(found: object) -> dict[str, str]:
    """Read an object of environment variables, or nothing."""
    if found is None:
        return {}
    if not isinstance(found, dict) or len(found) > _MAX_VARIABLES:
        raise _invalid(f"env: not an object of at most {_MAX_VARIABLES} variables.")
    return {name: _value(name, value) for name, value in found.items()}


def kernel_id(found: object) -> str | None:
    """Return an id that the client names, in its one spelling; it must be a UUID."""
    if found is None:
        return None
    try:
        return str(uuid.UUID(str(found)))
    except ValueError as exc:
        raise _invalid("The kernel's id is no UUID.") from exc


def is_kernel_id(found: object) -> bool:
    """Tell whether a kernel could have this id."""
    try:
        return kernel_id(found) is not None
    except InvalidInput:
        return False


def _value(name: str, value: object) -> str:
    if not _VARIABLE.fullmatch(name):
        raise InvalidInput(
            "request-invalid",
            f"env: {name[:64]!r} is no name of a variable.",
            hint="It has 1 to 255 characters, no = and no NUL among them.",
        )
    if not _is_text(value, _MAX_VALUE):
        raise _invalid(f"env: {name} is not a string of at most {_MAX_VALUE} characters.")
    return value


def _is_text(found: object, longest: int) -> TypeGuard[str]:
    """Tell whether this can name a file or be a variable: half a surrogate pair, which JSON may have, cannot."""
    if not isinstance(found, str) or len(found) > longest:
        return False
    return "\0" not in found and not _HALF_PAIR.search(found)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput("request-invalid", message)
