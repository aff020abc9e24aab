"""What a kernel puts out, as text for a terminal. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Colours and weights; every other sequence could move the cursor, set titles or answer in the person's name.
_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
# What terminals obey (C0, C1, but not tab, line feed and carriage return), and marks that reverse writing.
_COMMANDS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_IMAGE = "[{kind}, {size}: open the notebook or the kernel's page to see it]\n"


def safe(text: str, *, colour: bool) -> str:
    """Return foreign text with what commands a terminal made visible; `colour`: keep colours."""
    parts = _STYLE.split(text)
    kept = (
        part if place % 2 and colour else "" if place % 2 else _COMMANDS.sub("�", part)
        for place, part in enumerate(parts)
    )
    return "".join(kept)


def text_of(kind: str, content: Mapping[str, Any], *, colour: bool = False) -> str:
    """Return what a message of type `kind` shows; empty for those that show nothing."""
    if kind == "stream":
        return safe(_joined(content.get("text")), colour=colour)
    if kind in ("display_data", "execute_result"):
        shown = _of_bundle(content.get("data"), colour=colour)
        count = content.get("execution_count")
        return f"Out[{count}]: {shown}" if kind == "execute_result" and shown and count is not None else shown
    if kind == "error":
        trace = content.get("traceback")
        said = "\n".join(map(str, trace)) if isinstance(trace, list) and trace else ""
        return safe(said or f"{content.get('ename')}: {content.get('evalue')}", colour=colour).rstrip("\n") + "\n"
    return ""


def text_of_entry(entry: Mapping[str, Any], *, colour: bool = False) -> str:
    """Return what an entry of a kernel's journal (contract KernelOutput) shows; a gap says its size."""
    if gap := entry.get("gap"):
        amount = "Some output" if gap.get("messages") is None else f"{gap['messages']} messages of output"
        return f"[{amount} could not be kept and is missing here.]\n"
    message = entry.get("message") or {}
    kind = message.get("msg_type") or (message.get("header") or {}).get("msg_type") or ""
    return text_of(str(kind), message.get("content") or {}, colour=colour)


def first_line(code: str) -> str:
    """Return the first line of code, marked where there are more."""
    lines = safe(code, colour=False).strip().splitlines() or [""]
    return f"{lines[0]} …" if len(lines) > 1 else lines[0]


def _of_bundle(data: Any, *, colour: bool) -> str:
    bundle: Mapping[str, Any] = data if isinstance(data, dict) else {}
    if plain := _joined(bundle.get("text/plain")):
        return safe(plain, colour=colour).rstrip("\n") + "\n"
    for kind, held in bundle.items():
        if str(kind).startswith("image/"):
            return _IMAGE.format(kind=safe(str(kind), colour=False), size=f"{len(_joined(held)) * 3 // 4 // 1024} KiB")
    return ""


def _joined(text: Any) -> str:
    """Return text that may be a list of lines, as notebook files have it."""
    if isinstance(text, str):
        return text
    return "".join(map(str, text)) if isinstance(text, Iterable) else ""
