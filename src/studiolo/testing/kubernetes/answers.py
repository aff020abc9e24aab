"""How an API answers a question about objects: which of them it selects, what of them it shows, what a patch makes."""

import copy
from typing import Any

from aiohttp import web

from studiolo.testing.kubernetes.store import Object


def fits(request: web.Request, item: Object) -> bool:
    """Return whether the request's selectors take in an object."""
    labels = item["metadata"].get("labels", {})
    for part in filter(None, request.query.get("labelSelector", "").split(",")):
        name, is_equal, value = part.partition("=")
        if name not in labels or (is_equal and labels[name] != value):
            return False
    for part in filter(None, request.query.get("fieldSelector", "").split(",")):
        path, _, value = part.partition("=")
        found: Any = item
        for name in path.split("."):
            found = found.get(name, {})
        if found != value:
            return False
    return True


def view(request: web.Request, item: Object) -> Object:
    """Return what the caller asked to see of an object."""
    if "PartialObjectMetadata" in request.headers.get("Accept", ""):
        return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return item


def merge(item: Object, change: Object) -> Object:
    """Return an object with a merge patch applied (RFC 7386)."""
    merged = copy.deepcopy(item)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = merge(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return merged
