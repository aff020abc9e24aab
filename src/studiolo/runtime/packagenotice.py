"""Tells in a notebook why the index refused a package, and how to ask for it, below what the tool itself said.

Tools show the address of the file that they were refused, and never what was answered there; of versions that the index
leaves out they say that there are none. Their output is looked through as it is sent, and not held back; nothing stands
between a cell and its commands.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

_MARK = "/pypi/denied/"
_ADDRESS = re.compile(r"/pypi/denied/(?P<folder>[A-Za-z0-9._-]{1,400})/(?P<file>[A-Za-z0-9._+!%-]{1,400})")
_FOLDER = re.compile(r"(?P<code>[A-Z-]+?)-(?P<name>[a-z0-9-]+)--run--ml-jupyter-request-(?P<workspace>.+)-(?P=name)")
_TOOL = re.compile(r"\b(?:pip3?|uv|uvx|poetry|pdm|pipx|hatch)\b")
# What pip, uv, poetry and pdm say where they find nothing, and where names are in it; uv breaks its lines anywhere.
_NOTHING = (
    "No matching distribution",
    "No solution found",
    "match any versions",
    "matching version",
    "find candidates",
)
_NAME = r"\s+(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)"
_UNFOUND = tuple(
    re.compile(before + _NAME + behind)
    for before, behind in (
        (r"No matching distribution found for", r"(?:==(?P<version>[^\s,;]+))?"),
        (r"no\s+versions?\s+of", r"(?:==(?P<version>[^\s,;]+))?"),
        (r"\bonly", r"[<>=!~]\S*\s+is\s+available"),
        (r"only\s+the\s+following\s+versions\s+of", ""),
        (r"depends\s+on", r"\s+\((?:==)?(?P<version>[^)\s]+)\)\s+which\s+doesn't\s+match\s+any\s+versions"),
        (r"matching\s+version\s+of\s+package", ""),
        (r"find\s+candidates\s+for", ""),
    )
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOST_SAID = 16 << 10
# The index tells pip of versions that it leaves out, by files that say why where others say for which Python they are.
_AS_PIP = {"User-Agent": "pip/0", "Accept": "application/vnd.pypi.simple.v1+json"}
_MOST_PAGE_BYTES = 16 << 20
# What is split between two messages is found too.
_TAIL = 1024
_MOST = 3
_MOST_KEPT = 64
_SECONDS = 3.0
_MOST_BYTES = 64 << 10


class Refusals:
    """What was seen in output: addresses of refused files, by folder, and what tools say that find nothing.

    Filled in the thread that sends output.
    """

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._tails: dict[str, str] = {}
        self._complaint = ""

    def look(self, message: Any) -> Any:
        """Called with each message of a stream before it is sent; returns it as it is."""
        content = message.get("content") or {}
        stream, text = str(content.get("name")), content.get("text")
        if isinstance(text, str):
            both = self._tails.get(stream, "") + text
            if _MARK in both:
                self._seen |= {found["folder"]: found["file"] for found in _ADDRESS.finditer(both)}
            if self._complaint:
                self._complaint = (self._complaint + text)[:_MOST_SAID]
            elif any(words in both for words in _NOTHING):
                self._complaint = both[-_MOST_SAID:]
            self._tails[stream] = both[-_TAIL:] if len(self._seen) < _MOST_KEPT else ""
        return message

    def take(self) -> dict[str, str]:
        """Return what was seen, and forget it."""
        seen, self._seen = self._seen, {}
        self._tails.clear()
        return seen

    def take_unfound(self) -> dict[str, str | None]:
        """Return the projects of which a tool found nothing that fits, with the version if it was one; forget them."""
        said, self._complaint = _COLOUR.sub("", self._complaint), ""
        found = [match for pattern in _UNFOUND for match in pattern.finditer(said)]
        unfound: dict[str, str | None] = {}
        for match in found:
            name = re.sub(r"[-_.]+", "-", match["name"]).lower()
            version = match.groupdict().get("version")
            unfound[name] = unfound.get(name) or (version.rstrip(".") if version else None)
        return unfound


def watch(app: Any) -> None:
    """Have the kernel of `app` tell of refusals after cells that call a tool which installs."""
    if not os.environ.get("STUDIOLO_INDEX"):
        return
    refusals = Refusals()

    def hook() -> None:
        for stream in (sys.stdout, sys.stderr):
            # Hooks are the thread's own that sends.
            if (register := getattr(stream, "register_hook", None)) is not None:
                register(refusals.look)

    app.iopub_thread.io_loop.add_callback(hook)
    app.shell.events.register("post_run_cell", _teller(refusals))


def watch_this() -> None:
    """The same for the kernel of this process, which was started without us."""
    from ipykernel.kernelapp import IPKernelApp

    watch(IPKernelApp.instance())


def describe(
    folder: str, file: str, problem: Mapping[str, Any], workspace: str, *, is_version: bool = False
) -> str | None:
    """Return the words for a refused file; `problem`: what the index answered, empty where it did not.

    `is_version`: others of the project pass, so that this version is asked for.
    """
    read = _FOLDER.fullmatch(folder)
    if read is None:
        return None
    name, said = read["name"], {part: _line(text) for part, text in problem.items() if text}
    rule = [said[part] for part in ("rule", "source") if part in said] or [read["code"].lower().replace("-", " ")]
    wish = f"{name}=={_version(file)}" if is_version and _version(file) else name
    command, link = f"ml jupyter request {read['workspace']} {wish}", _link(said.get("workspace"), wish)
    lines = {
        "Refused": f"{f'{name} {_version(file)}'.rstrip()} in workspace {workspace or read['workspace']}",
        "Rule": ", ".join(rule),
        "Because": said.get("because") or said.get("detail"),
        "Ask": f"{command}   or   {link}" if link else command,
    }
    return "".join(f"{title + ':':<9}{text}\n" for title, text in lines.items() if text)


def _teller(refusals: Refusals) -> Callable[[Any], None]:
    def tell(result: Any) -> None:
        cell = getattr(getattr(result, "info", None), "raw_cell", None)
        if not isinstance(cell, str) or not _TOOL.search(cell):
            return
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        refused, unfound = refusals.take(), refusals.take_unfound()
        left_out = [] if refused else [_find_left_out(*one) for one in list(unfound.items())[:_MOST]]
        workspace = os.environ.get("STUDIOLO_WORKSPACE", "").rpartition("/")[2]
        for folder, file in [*list(refused.items())[:_MOST], *(one for one in left_out if one is not None)]:
            if words := describe(folder, file, _ask(folder, file), workspace, is_version=not refused):
                print(f"\n{words}", end="")

    return tell


def _find_left_out(name: str, version: str | None) -> tuple[str, str] | None:
    """Return folder and file of a version that the index leaves out; the newest where it is any."""
    from urllib.parse import urljoin

    try:
        place = f"/pypi/simple/{name}/"
        page = json.loads(_fetch(place, _AS_PIP, _MOST_PAGE_BYTES)[1])
        for file in page["files"]:
            found = _ADDRESS.search(urljoin(place, file["url"]))
            is_it = found is not None and version in (None, _version(found["file"]))
            if found is not None and is_it and (file.get("requires-python") or "").startswith("==="):
                return found["folder"], found["file"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _ask(folder: str, file: str) -> dict[str, Any]:
    """Ask our own index, wherever the address in the output pointed; an empty dictionary if it does not answer."""
    try:
        status, body = _fetch(f"{_MARK}{folder}/{file}", {}, _MOST_BYTES)
        read = json.loads(body)
    except (OSError, ValueError):
        return {}
    return read if status == 403 and isinstance(read, dict) else {}


def _fetch(address: str, headers: Mapping[str, str], most: int) -> tuple[int, bytes]:
    """Return status and beginning of what our index answers. Raises OSError, ValueError."""
    # Imported here: no kernel needs them before something is refused.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, Request, build_opener

    request = Request(f"{os.environ['STUDIOLO_INDEX']}{address}", headers={**headers, **_credential()})  # noqa: S310
    try:
        try:
            answer = build_opener(ProxyHandler({})).open(request, timeout=_SECONDS)
        except HTTPError as exc:
            answer = exc
        with answer:
            return answer.status, answer.read(most)
    except HTTPException as exc:
        raise ValueError(str(exc)) from exc


def _credential() -> dict[str, str]:
    import base64
    import netrc
    from urllib.parse import urlsplit

    try:
        host = urlsplit(os.environ["STUDIOLO_INDEX"]).hostname or ""
        found = netrc.netrc(os.environ["NETRC"]).authenticators(host)
    except (OSError, KeyError, ValueError, netrc.NetrcParseError):
        return {}
    if found is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()}


def _link(workspace_id: str | None, wish: str) -> str | None:
    from urllib.parse import quote

    platform = os.environ.get("STUDIOLO_URL")
    return f"{platform}/w/{workspace_id}/request?package={quote(wish)}" if platform and workspace_id else None


def _version(file: str) -> str:
    name = file.removesuffix(".metadata")
    if name.endswith(".whl"):
        return name.split("-")[1] if name.count("-") >= 4 else ""
    return re.sub(r"\.(tar\.\w+|zip|tgz)$", "", name).rpartition("-")[2] if "-" in name else ""


def _line(text: object) -> str:
    return " ".join(str(text).split())[:400]
