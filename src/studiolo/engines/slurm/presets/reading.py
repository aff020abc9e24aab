"""Reading what batch systems print: JSON, XML, lengths and times, and nothing that breaks on what it does not know."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from studiolo.engines.slurm.dialect import UnreadableAnswerError

_LENGTH = re.compile(r"(?:(\d+):)?(\d+):(\d+):(\d+)|(\d+)")


def read_json(text: str, what: str) -> Any:
    """Return what `text` says, None for an empty one. Raises UnreadableAnswerError."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as exc:
        raise UnreadableAnswerError(f"{what} printed no JSON") from exc


def read_xml(text: str, what: str) -> ElementTree.Element | None:
    """Return the root, None for an empty text. Raises UnreadableAnswerError.

    What is read is the site's own scheduler's; expat itself refuses entities that blow up.
    """
    if not text.strip():
        return None
    try:
        return ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError as exc:
        raise UnreadableAnswerError(f"{what} printed no XML") from exc


def flatten(element: ElementTree.Element) -> dict[str, str]:
    """Return the texts below an element by name; those further down by `parent.child`."""
    found = {}
    for child in element:
        found[child.tag] = (child.text or "").strip()
        found |= {f"{child.tag}.{name}": value for name, value in flatten(child).items()}
    return found


def read_length(text: str) -> int | None:
    """Return seconds of `[days:]hours:minutes:seconds` or of a plain number; None for anything else."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds, plain = (int(part or 0) for part in found.groups())
    return plain if found[5] else days * 86_400 + hours * 3600 + minutes * 60 + seconds


def read_epoch(value: Any) -> datetime | None:
    """Return the time of a Unix time, as a number or its digits; None for none or nothing."""
    text = str(value).partition(".")[0]
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() and 0 < int(text) < 2**33 else None


def read_local(text: str, form: str) -> datetime | None:
    """Return a time without a zone, which is taken for this machine's; without a year, for the nearest to now."""
    now = datetime.now().astimezone()
    if "%Y" not in form:
        years = (read_local(f"{year} {text}", f"%Y {form}") for year in (now.year - 1, now.year, now.year + 1))
        return min((time for time in years if time), key=lambda time: abs(time - now), default=None)
    try:
        return datetime.strptime(" ".join(text.split()), form).astimezone()
    except ValueError:
        return None


def first_host(text: str) -> str:
    """Return the first node of `node01/0*4+node02/1`, `4*node01:node02`."""
    return re.split(r"[/+*:]", re.sub(r"^\d+\*", "", text.strip()), maxsplit=1)[0]


def text_of(known: Mapping[str, Any], name: str) -> str:
    """Return a member as text; nothing when there is none."""
    value = known.get(name)
    return "" if value is None else str(value).strip()


def end_of_sentence(text: str) -> str:
    """Return the text without stops and blanks at its end, as the end of a sentence of ours."""
    return text.strip().rstrip(".! ")
