"""Pages of upstreams, HTML (PEP 503) and JSON (PEP 691), read into projects.

A page of 4,000 files must pass in milliseconds, which the usual parsers take hundreds for, and one of them does not
know `data-upload-time`; they are the tests' measure of what is read here.
"""

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from studiolo.packages.index.projects import File, Project, split_file, time_of

# Possessive: a hostile page costs its length, not the square of it.
_ATTRIBUTES = r"(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+"
_ANCHOR = re.compile(rf"<a\s({_ATTRIBUTES})>([^<]*+)</a\s*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([A-Za-z][\w-]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++)))?")
_TAG = re.compile(rf"<(base|meta)\s({_ATTRIBUTES})>", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_JSON = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.9, text/html;q=0.8"


def read_page(name: str, channel: str, body: bytes, *, media_type: str, url: str) -> Project:
    """Return the project that a page lists; what is neither wheel nor sdist of that project is left out.

    `url`: where the page was found. Raises ValueError for what is no such page.
    """
    digest = hashlib.sha256(body).hexdigest()
    kind = media_type.partition(";")[0].strip().lower()
    if kind in (_JSON, "application/json"):
        return _read_json(name, channel, digest, json.loads(body), url)
    if kind not in ("text/html", "application/vnd.pypi.simple.v1+html"):
        raise ValueError(f"{kind!r} is no page of an index")
    return _read_html(name, channel, digest, body.decode("utf-8", "replace"), url)


def _read_html(name: str, channel: str, digest: str, text: str, url: str) -> Project:
    status: dict[str, str] = {}
    head = text.partition("<a")[0]
    for tag in _TAG.finditer(head):
        found = _attributes(tag[2])
        if tag[1].lower() == "base" and found.get("href"):
            url = urljoin(url, found["href"])
        elif found.get("name", "").startswith("pypi:project-status"):
            status[found["name"]] = found.get("content", "")
    files = tuple(file for anchor in _ANCHOR.finditer(text) if (file := _of_anchor(name, anchor, url)))
    marker, reason = status.get("pypi:project-status"), status.get("pypi:project-status-reason")
    return Project(name, channel, files, digest, marker, reason)


def _of_anchor(project: str, anchor: re.Match[str], base: str) -> File | None:
    found = _attributes(anchor[1])
    address, _, fragment = found.get("href", "").partition("#")
    url = _absolute(address, base)
    file = html.unescape(anchor[2]).strip()
    parts = split_file(file, project)
    if url is None or parts is None:
        return None
    told = found.get("data-core-metadata", found.get("data-dist-info-metadata"))
    return File(
        file,
        parts[1],
        url,
        parts[2],
        _digest(fragment.removeprefix("sha256=")) if fragment.startswith("sha256=") else None,
        found.get("data-requires-python") or None,
        found.get("data-yanked"),
        _time(found.get("data-upload-time")),
        None,
        _digest((told or "").removeprefix("sha256=")) or (told is not None and told.lower() != "false"),
    )


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(text):
        value = double or single or bare
        found.setdefault(name.lower(), html.unescape(value) if "&" in value else value)
    return found


def _read_json(name: str, channel: str, digest: str, page: Any, url: str) -> Project:
    if not isinstance(page, Mapping) or not isinstance(page.get("files"), list):
        raise ValueError("the page lists no files")
    version = str((page.get("meta") or {}).get("api-version", "1.0"))
    if not version.startswith("1."):
        raise ValueError(f"the page is of version {version[:20]!r}, which is not known here")
    status = page.get("project-status") or {}
    return Project(
        name,
        channel,
        tuple(_of_json(name, page["files"], url)),
        digest,
        _text(status.get("status")),
        _text(status.get("reason")),
    )


def _of_json(project: str, listed: list[Any], base: str) -> Iterator[File]:
    for one in listed:
        if not isinstance(one, Mapping) or not isinstance(one.get("filename"), str):
            continue
        parts = split_file(one["filename"], project)
        url = _absolute(str(one.get("url", "")), base)
        if parts is None or url is None:
            continue
        told = one.get("core-metadata", one.get("dist-info-metadata"))
        yanked, size = one.get("yanked", False), one.get("size")
        yield File(
            one["filename"],
            parts[1],
            url,
            parts[2],
            _digest((one.get("hashes") or {}).get("sha256")),
            _text(one.get("requires-python")) or None,
            (yanked if isinstance(yanked, str) else "") if yanked is not False else None,
            _time(one.get("upload-time")),
            size if isinstance(size, int) else None,
            (_digest(told.get("sha256")) or True) if isinstance(told, Mapping) else bool(told),
        )


def _absolute(address: str, base: str) -> str | None:
    """Return the address of a file; None for what is not to be fetched by HTTP."""
    url = address if address.startswith(("https://", "http://")) else urljoin(base, address)
    if not url.startswith(("https://", "http://")):
        return None
    # A page that came encrypted does not send anybody where it is not.
    return None if url.startswith("http://") and urlsplit(base).scheme == "https" else url


def _digest(found: object) -> str | None:
    return found.lower() if isinstance(found, str) and _SHA256.fullmatch(found.lower()) else None


def _time(found: object) -> str | None:
    # Who reads our pages may take nothing of one with a time that is none.
    return found if isinstance(found, str) and time_of(found) is not None else None


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None
