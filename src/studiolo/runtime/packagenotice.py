"""Tells in a notebook why the index refused a package, and how to ask for it, below what the tool itself said.

Tools show the address of the file that they were refused, and never what was answered there. Their output is looked
through as it is sent, and not held back; nothing stands between a cell and its commands.
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
# What is split between two messages is found too.
_TAIL = 1024
_MOST = 3
_MOST_KEPT = 64
_SECONDS = 3.0
_MOST_BYTES = 64 << 10


class Refusals:
    """Addresses of refused files that were seen in output, by folder; filled in the thread that sends output."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._tails: dict[str, str] = {}

    def look(self, message: Any) -> Any:
        """Called with each message of a stream before it is sent; returns it as it is."""
        content = message.get("content") or {}
        stream, text = str(content.get("name")), content.get("text")
        if isinstance(text, str):
            both = self._tails.get(stream, "") + text
            if _MARK in both:
                self._seen |= {found["folder"]: found["file"] for found in _ADDRESS.finditer(both)}
            self._tails[stream] = both[-_TAIL:] if len(self._seen) < _MOST_KEPT else ""
        return message

    def take(self) -> dict[str, str]:
        """Return what was seen, and forget it."""
        seen, self._seen = self._seen, {}
        self._tails.clear()
        return seen


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


def describe(folder: str, file: str, problem: Mapping[str, Any], workspace: str) -> str | None:
    """Return the words for a refused file; `problem`: what the index answered, empty where it did not."""
    read = _FOLDER.fullmatch(folder)
    if read is None:
        return None
    name, said = read["name"], {part: _line(text) for part, text in problem.items() if text}
    rule = [said[part] for part in ("rule", "source") if part in said] or [read["code"].lower().replace("-", " ")]
    command, link = f"ml jupyter request {read['workspace']} {name}", _link(said.get("workspace"), name)
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
        for folder, file in list(refusals.take().items())[:_MOST]:
            workspace = os.environ.get("STUDIOLO_WORKSPACE", "").rpartition("/")[2]
            if words := describe(folder, file, _ask(folder, file), workspace):
                print(f"\n{words}", end="")

    return tell


def _ask(folder: str, file: str) -> dict[str, Any]:
    """Ask our own index, wherever the address in the output pointed; an empty dictionary if it does not answer."""
    # Imported here: no kernel needs them before something is refused.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, Request, build_opener

    request = Request(f"{os.environ['STUDIOLO_INDEX']}{_MARK}{folder}/{file}", headers=_credential())  # noqa: S310
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_SECONDS):
            return {}
    except HTTPError as exc:
        with exc:
            try:
                read = json.loads(exc.read(_MOST_BYTES))
            except (ValueError, OSError, HTTPException):
                return {}
        return read if exc.code == 403 and isinstance(read, dict) else {}
    except (OSError, ValueError, HTTPException):
        return {}


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


def _link(workspace_id: str | None, name: str) -> str | None:
    platform = os.environ.get("STUDIOLO_URL")
    return f"{platform}/w/{workspace_id}/request?package={name}" if platform and workspace_id else None


def _version(file: str) -> str:
    name = file.removesuffix(".metadata")
    if name.endswith(".whl"):
        return name.split("-")[1] if name.count("-") >= 4 else ""
    return re.sub(r"\.(tar\.\w+|zip|tgz)$", "", name).rpartition("-")[2] if "-" in name else ""


def _line(text: object) -> str:
    return " ".join(str(text).split())[:400]
