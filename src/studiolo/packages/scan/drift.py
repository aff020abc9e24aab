"""Settings of pip, uv, conda, poetry, pdm and pixi that lead to another index than the workspace's own."""

import configparser
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import commands, rules
from studiolo.packages.scan.grounds import Grounds, host_of
from studiolo.packages.scan.rules import clipped

# What a file's text says: whether it leads by an index's address or by a channel, and under which key.
_Said = tuple[str, str, bool]

_PIP_KEYS = ("index-url", "extra-index-url", "find-links", "index_url", "extra_index_url", "find_links")
_UV_KEYS = ("index-url", "extra-index-url", "find-links", "default-index")
_CONDA_KEYS = ("channels", "default_channels", "channel_alias", "custom_channels", "mirrored_channels")
_SCRIPT = re.compile(r"(?m)^# /// script$\n(?P<body>(?:^#(?: .*)?$\n)+?)^# ///$")
_REQUIREMENTS = re.compile(r"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in)")
_VARIABLES = re.compile(r"(?m)^\s*(?:export\s+)?(?P<name>(?:PIP|UV|CONDA|MAMBA|PDM)_[A-Z_]+)\s*=\s*(?P<value>\S+)")


def is_settings(path: str) -> bool:
    """Tell whether a file of this name says where packages come from."""
    return _reader_of(PurePosixPath(path)) is not None


def judge_settings(text: str, path: str, place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield what leads elsewhere in a file of settings, and that the file cannot be read where it cannot."""
    read = _reader_of(PurePosixPath(path))
    try:
        said = list(read(text)) if read is not None else []
    # Files of people's own are as broken as can be; yaml alone raises a dozen kinds.
    except (ValueError, TypeError, AttributeError, RecursionError, configparser.Error, yaml.YAMLError) as exc:
        # Not the fault's own words: they quote the line, and a password may stand there.
        yield rules.UNREADABLE.found(place, f"Its settings cannot be read: {type(exc).__name__}", "settings")
        return
    for key, value, is_channel in said:
        leads = grounds.is_foreign_channel(value) if is_channel else grounds.is_elsewhere(value)
        if value.strip() and leads:
            shown = clipped(value, 80) if is_channel and "://" not in value else host_of(value)
            yield rules.DRIFT.found(place, f"{key} leads to {shown}")


def judge_script(text: str, place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield what the block of PEP 723 in a script says of indexes."""
    if (found := _SCRIPT.search(text)) is not None:
        block = "".join(line[2:] + "\n" for line in found["body"].splitlines())
        yield from judge_settings(block, "pyproject.toml", place, grounds)


def judge_variables(variables: Iterable[tuple[str, str]], place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield which environment variables lead elsewhere."""
    for name, value in variables:
        if commands.leads_elsewhere(name, value, grounds):
            yield rules.DRIFT.found(place, f"{name} leads to {host_of(value)}")


def judge_variable_lines(text: str, place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield which lines of a script or `.env` file set such variables."""
    for found in _VARIABLES.finditer(text):
        line = (place.line or 1) + text.count("\n", 0, found.start("name"))
        at = place.model_copy(update={"line": line})
        yield from judge_variables([(found["name"], found["value"].strip("\"'"))], at, grounds)


def _reader_of(path: PurePosixPath) -> Callable[[str], Iterable[_Said]] | None:
    name = path.name.lower()
    if name in ("pip.conf", "pip.ini"):
        return _read_pip
    if name == "uv.toml":
        return lambda text: _read_uv(tomllib.loads(text))
    if name == "pyproject.toml":
        return _read_project
    if name in (".condarc", "condarc", "condarc.yml", "condarc.yaml", ".mambarc", "mambarc"):
        return _read_conda
    if re.fullmatch(r"(.*[-_.])?environment([-_.].*)?\.ya?ml", name):
        return _read_conda_environment
    if name == "pixi.toml" or (name == "config.toml" and path.parent.name == ".pixi"):
        return _read_pixi
    return _read_requirements if _REQUIREMENTS.fullmatch(name) else None


def _read_pip(text: str) -> Iterator[_Said]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    for section in parser.sections():
        for key in _PIP_KEYS:
            for value in parser.get(section, key, fallback="").split():
                yield f"{section}.{key}", value, False


def _read_uv(found: dict[str, Any]) -> Iterator[_Said]:
    for table in (found, found.get("pip", {})):
        for key in _UV_KEYS:
            yield from ((key, value, False) for value in _texts(table.get(key)))
        for index in _tables(table.get("index")):
            yield f"index {index.get('name', '')}".strip(), str(index.get("url", "")), False


def _read_project(text: str) -> Iterator[_Said]:
    tool = tomllib.loads(text).get("tool", {})
    yield from _read_uv(tool.get("uv", {}))
    for name in ("poetry", "pdm"):
        for source in _tables(tool.get(name, {}).get("source")):
            yield f"{name} source {source.get('name', '')}".strip(), str(source.get("url", "")), False
    yield from _read_channels(tool.get("pixi", {}))


def _read_pixi(text: str) -> Iterator[_Said]:
    yield from _read_channels(tomllib.loads(text))


def _read_channels(found: dict[str, Any]) -> Iterator[_Said]:
    for table in (found, found.get("workspace", {}), found.get("project", {})):
        for key in ("channels", "default-channels"):
            for value in table.get(key, ()):
                yield key, str(value.get("channel", "")) if isinstance(value, dict) else str(value), True


def _read_conda(text: str) -> Iterator[_Said]:
    found = yaml.safe_load(text) or {}
    for key in _CONDA_KEYS:
        value = found.get(key)
        values = value.values() if isinstance(value, dict) else [value] if isinstance(value, str) else value or ()
        yield from ((key, str(one), True) for one in values)


def _read_conda_environment(text: str) -> Iterator[_Said]:
    found = yaml.safe_load(text) or {}
    yield from (("channels", str(one), True) for one in found.get("channels") or ())
    for dependency in found.get("dependencies") or ():
        if isinstance(dependency, dict):
            yield from _read_requirements("\n".join(str(line) for line in dependency.get("pip") or ()))


def _read_requirements(text: str) -> Iterator[_Said]:
    for line in text.splitlines():
        words = line.partition(" #")[0].strip().replace("=", " ", 1 if line.lstrip().startswith("--") else 0).split()
        if len(words) > 1 and words[0] in ("-i", "--index-url", "--extra-index-url", "-f", "--find-links"):
            yield words[0], words[1], False
        elif words and ("://" in line and not line.lstrip().startswith("#")):
            yield "a requirement", line.partition("@")[2].strip() if " @ " in line else words[-1], False


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value] if isinstance(value, list) else []


def _tables(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
