"""The API's description, made from the table of routes: OpenAPI 3.1. JSON, which is YAML too."""

import re
from collections.abc import Iterable
from typing import Any

from studiolo import __version__
from studiolo.gateway.api.asking import Route

_PLACE = re.compile(r"\(\?P<(\w+)>[^)]*\)")
# Of several spellings the first is shown.
_SPELLINGS = re.compile(r"\(([^|)]*)\|[^)]*\)")
_SHOWN_RIGHT = {"see": "see kernels", "execute": "run code", "start": "start kernels"}


def describe(routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    """Return the description of some routes below a prefix."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = prefix + _PLACE.sub(r"{\1}", route.pattern.pattern).replace("(api/)?", "api/")
        path = _SPELLINGS.sub(r"\1", path).replace("\\", "")
        names = _PLACE.findall(route.pattern.pattern)
        paths.setdefault(path, {})[route.method.lower()] = {
            "summary": getattr(route.handler, "__name__", "").strip("_").replace("_", " ").capitalize(),
            "description": f"{(route.handler.__doc__ or '').strip()} For who may {_SHOWN_RIGHT[route.right]}.",
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ],
            "responses": {"default": {"description": "The answer, or {message, reason, code, hint}."}},
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kernels", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }
