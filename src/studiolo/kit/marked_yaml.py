"""YAML that people write, read by its nodes, so that each fault names its line and column.

Scalars are read as their text, never as YAML's types: `3.10` is no number and `no` no truth value. Aliases, tags and
deep nesting are refused before anything is built, so that a small file cannot become a large one.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

LARGEST_BYTES = 64 * 1024
_DEEPEST = 4


class Faults(list[dict[str, Any]]):
    """What is wrong: `{location, line, column, message}` each; `location` is the path of keys."""

    def add(self, mark: Any, location: str, message: str) -> None:
        """Note a fault at a node's mark."""
        self.append({"location": location, "line": mark.line + 1, "column": mark.column + 1, "message": message})

    def in_order(self) -> list[dict[str, Any]]:
        """Return them as they stand in the file."""
        return sorted(self, key=lambda fault: (fault["line"], fault["column"]))


class UnreadableYAML(ValueError):
    """The text as a whole is no YAML of ours; `fault` as in Faults."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.fault = {"location": "", "line": line, "column": column, "message": message}


def compose(content: str | bytes) -> yaml.Node | None:
    """Return the root node, None for an empty text. Raises UnreadableYAML."""
    text = _decode(content)
    try:
        _check_bounds(text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as exc:
        line, column = _place(text[: exc.position])
        raise UnreadableYAML(line, column, "a character that YAML does not allow") from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        words = exc.problem or "this is no YAML"
        if "'\\t'" in words:
            words = "a tab cannot indent; use spaces"
        elif "another document" in words:
            words = "a second document begins (---); the file holds one"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise UnreadableYAML(line, column, words) from exc


def read_entries(
    node: yaml.Node | None, location: str, faults: Faults, *, known: Iterable[str] | None = None
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the members of a mapping, each key once; `known` are the keys there are, None: any."""
    if node is None or is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        faults.add(node.start_mark, location, f"{'' if location else 'the file '}must hold `key: value` lines")
        return
    seen: dict[str, int] = {}
    for key_node, value in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
        where = f"{location}.{key[:80]}".strip(".")
        if not key:
            faults.add(key_node.start_mark, location, "a key must be a word")
        elif key in seen:
            faults.add(key_node.start_mark, where, f"is given twice; the first is in line {seen[key]}")
        elif known is not None and key not in known:
            faults.add(key_node.start_mark, where, f"is not known.{_suggest(key, known)}")
        else:
            seen[key] = key_node.start_mark.line + 1
            yield key, value


def read_text(node: yaml.Node | None, location: str, faults: Faults, read: Callable[[str], Any]) -> Any:
    """Return what `read` makes of a scalar's text; None for no node, and where a fault was noted."""
    if node is None:
        return None
    if not isinstance(node, yaml.ScalarNode):
        faults.add(node.start_mark, location, "must be a single value")
    elif is_null(node):
        faults.add(node.start_mark, location, 'has no value; leave the line out, or write "" for an empty text')
    else:
        try:
            return read(node.value)
        except ValueError as exc:
            faults.add(node.start_mark, location, str(exc))
    return None


def read_list(
    node: yaml.Node | None, location: str, faults: Faults, *, most: int, example: str
) -> list[tuple[str, yaml.Node]] | None:
    """Return the places and nodes of a list; None for no node, and where a fault was noted."""
    if node is None:
        return None
    if not isinstance(node, yaml.SequenceNode):
        faults.add(node.start_mark, location, f"must be a list such as {example}")
        return None
    if len(node.value) > most:
        faults.add(node.start_mark, location, f"holds {len(node.value)} names; {most} are possible")
        return None
    return [(f"{location}[{number}]", item) for number, item in enumerate(node.value)]


def is_null(node: yaml.Node) -> bool:
    """Tell whether nothing was written where the node is."""
    return isinstance(node, yaml.ScalarNode) and bool(node.tag == "tag:yaml.org,2002:null")


def _decode(content: str | bytes) -> str:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > LARGEST_BYTES:
        raise UnreadableYAML(1, 1, f"the file has {len(raw)} bytes; {LARGEST_BYTES} are possible")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = raw[: exc.start].decode("utf-8", "replace")
        raise UnreadableYAML(*_place(before), "the file is not UTF-8; save it as that") from exc


def _check_bounds(text: str) -> None:
    """Raise for aliases, tags and nesting deeper than a configuration has; nothing is built here."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UnreadableYAML(*place, "anchors (&) and aliases (*) are not used here; write the value out")
        if getattr(event, "tag", None):
            raise UnreadableYAML(*place, "tags (!) are not used here; write the plain value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise UnreadableYAML(*place, "nothing is nested so deep here")


def _suggest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else f" There are {', '.join(names)}"


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")
