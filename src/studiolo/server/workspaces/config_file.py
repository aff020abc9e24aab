"""workspace-config.yaml: text to WorkspaceConfig and back. Each fault names line, column and key.

```yaml
profile: medium
resources: {cpu: 4, memory: 8g, gpu: 1, gpu_type: nvidia-tesla-v100, disk: 20g, image: name}
environment: {python_version: "3.11", jupyter_version: latest, ANY_VARIABLE: text}
security: {trusted_channels: [conda-forge], blocked_packages: [aiohttp]}
```

Scalars are read as their text, never as YAML's types: `3.10` is no number and `no` no truth value. Aliases, tags and
deep nesting are refused before anything is built, so that a small file cannot become a large one.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

from studiolo.contract.details import EnvironmentConfig, Security, WorkspaceConfig
from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Resources
from studiolo.contract.sizes import format_size
from studiolo.server.workspaces import configuration as rules

LARGEST_BYTES = 64 * 1024
_DEEPEST = 4
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
_MOST_FAULTS = 50
_SECTIONS = ("profile", "resources", "environment", "security")


class _Faults(list[dict[str, Any]]):
    def add(self, mark: Any, location: str, message: str) -> None:
        self.append({"location": location, "line": mark.line + 1, "column": mark.column + 1, "message": message})


def read_config_file(content: str | bytes) -> WorkspaceConfig:
    """Return the configuration; an empty file is an empty one.

    Raises InvalidInput (`config-invalid`) with all faults: `errors: [{location, line, column, message}]`.
    """
    text = _decode(content)
    node = _compose(text)
    faults = _Faults()
    sections = dict(_entries(node, "", faults, known=_SECTIONS)) if node is not None else {}
    resources = _texts(sections.get("resources"), "resources", faults, rules.RESOURCES)
    config = {
        "profile": _text(sections.get("profile"), "profile", faults, rules.read_profile),
        "environment": _environment(sections.get("environment"), faults),
        "security": _security(sections.get("security"), faults),
    }
    if faults:
        raise _invalid(sorted(faults, key=lambda fault: (fault["line"], fault["column"])))
    return WorkspaceConfig(resources=Resources(**resources), **config)


def write_config_file(config: WorkspaceConfig) -> str:
    """Return the text of a workspace-config.yaml that reads back as `config`."""
    resources = config.resources.model_dump(exclude_none=True)
    for name in ("memory", "disk"):
        if name in resources:
            resources[name] = format_size(resources[name])
    if "cpu" in resources and resources["cpu"] == int(resources["cpu"]):
        resources["cpu"] = int(resources["cpu"])
    environment = config.environment.model_dump(exclude_none=True, exclude={"variables"})
    sections = {
        "profile": config.profile,
        "resources": resources,
        "environment": environment | config.environment.variables,
        "security": config.security.model_dump(exclude_none=True),
    }
    given = {name: value for name, value in sections.items() if value}
    # These PyYAML writes as plain line breaks and reads back as spaces, unless everything odd is escaped.
    readable = not any(_OTHER_BREAKS.search(value) for value in config.environment.variables.values())
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=readable, width=1000) if given else ""


def _decode(content: str | bytes) -> str:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > LARGEST_BYTES:
        raise _broken(1, 1, f"the file has {len(raw)} bytes; {LARGEST_BYTES} are possible")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = raw[: exc.start].decode("utf-8", "replace")
        raise _broken(*_place(before), "the file is not UTF-8; save it as that") from exc


def _compose(text: str) -> yaml.Node | None:
    try:
        _check_bounds(text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as exc:
        line, column = _place(text[: exc.position])
        raise _broken(line, column, "a character that YAML does not allow") from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        words = exc.problem or "this is no YAML"
        if "'\\t'" in words:
            words = "a tab cannot indent; use spaces"
        elif "another document" in words:
            words = "a second document begins (---); the file holds one"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _broken(line, column, words) from exc


def _check_bounds(text: str) -> None:
    """Raise for aliases, tags and nesting deeper than a configuration has; nothing is built here."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _broken(*place, "anchors (&) and aliases (*) are not used here; write the value out")
        if getattr(event, "tag", None):
            raise _broken(*place, "tags (!) are not used here; write the plain value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _broken(*place, "nothing is nested so deep here")


def _entries(
    node: yaml.Node, location: str, faults: _Faults, *, known: Iterable[str] | None = None
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the members of a mapping, each key once; `known` are the keys there are, None: any."""
    if _is_null(node):
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


def _suggest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else f" There are {', '.join(names)}"


def _text(node: yaml.Node | None, location: str, faults: _Faults, read: Callable[[str], Any]) -> Any:
    if node is None:
        return None
    if not isinstance(node, yaml.ScalarNode):
        faults.add(node.start_mark, location, "must be a single value")
    elif _is_null(node):
        faults.add(node.start_mark, location, 'has no value; leave the line out, or write "" for an empty text')
    else:
        try:
            return read(node.value)
        except ValueError as exc:
            faults.add(node.start_mark, location, str(exc))
    return None


def _texts(
    node: yaml.Node | None, location: str, faults: _Faults, readers: dict[str, Callable[[str], Any]]
) -> dict[str, Any]:
    entries = _entries(node, location, faults, known=readers) if node is not None else ()
    return {key: _text(value, f"{location}.{key}", faults, readers[key]) for key, value in entries}


def _environment(node: yaml.Node | None, faults: _Faults) -> EnvironmentConfig:
    reserved: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for key, value in _entries(node, "environment", faults) if node is not None else ():
        where = f"environment.{key[:80]}"
        if key in rules.RESERVED_KEYS:
            reserved[key] = _text(value, where, faults, rules.RESERVED_KEYS[key])
            continue
        if key.islower() and (near := difflib.get_close_matches(key, rules.RESERVED_KEYS, n=1, cutoff=0.85)):
            faults.add(value.start_mark, where, f"is not known. Did you mean {near[0]}?")
            continue

        def check(text: str, name: str = key) -> str:
            rules.check_variable(name, text)
            rules.check_count(len(variables) + 1, "variables")
            return text

        variables[key] = _text(value, where, faults, check) or ""
    return EnvironmentConfig(**reserved, variables=variables) if not faults else EnvironmentConfig()


def _security(node: yaml.Node | None, faults: _Faults) -> Security:
    lists: dict[str, list[str]] = {}
    for key, value in _entries(node, "security", faults, known=rules.SECURITY) if node is not None else ():
        where = f"security.{key}"
        if not isinstance(value, yaml.SequenceNode):
            faults.add(value.start_mark, where, 'must be a list such as ["conda-forge"]')
            continue
        try:
            rules.check_count(len(value.value), "names")
        except ValueError as exc:
            faults.add(value.start_mark, where, str(exc))
            continue
        lists[key] = [
            _text(item, f"{where}[{n}]", faults, rules.read_listed_name) for n, item in enumerate(value.value)
        ]
    return Security(**lists) if not faults else Security()


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(node.tag == "tag:yaml.org,2002:null")


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _broken(line: int, column: int, words: str) -> InvalidInput:
    return _invalid([{"location": "", "line": line, "column": column, "message": words}])


def _invalid(faults: list[dict[str, Any]]) -> InvalidInput:
    first = faults[0]
    key = f"{first['location']} " if first["location"] else ""
    more = f" {len(faults) - 1} more {'is' if len(faults) == 2 else 'are'} wrong." if len(faults) > 1 else ""
    message = f"workspace-config.yaml, line {first['line']}, column {first['column']}: {key}{first['message']}"
    return InvalidInput(
        "config-invalid",
        f"{message.rstrip('.')}{'' if message.endswith('?') else '.'}{more}",
        hint="Nothing was changed." + (" `errors` lists each fault with its line." if len(faults) > 1 else ""),
        errors=faults[:_MOST_FAULTS],
    )
