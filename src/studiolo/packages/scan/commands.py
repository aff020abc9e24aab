"""What a shell command would install, and from where: pip, uv, conda and their kin, and code fetched to be run."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from packaging.requirements import InvalidRequirement, Requirement

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import rules
from studiolo.packages.scan.grounds import Grounds, host_of, is_address
from studiolo.packages.scan.rules import clipped

_ENDS = frozenset({";", "&&", "||", "|", "&", "(", ")", "\n", "|&"})
_BEFORE = frozenset({"sudo", "env", "nohup", "time", "exec", "command", "nice", "then", "do", "else", "!"})
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
_PYTHON = re.compile(r"python[0-9.]*|\{sys\.executable\}|pypy[0-9.]*")
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish", "python", "python3", "perl", "ruby", "node"})
_FETCHERS = frozenset({"curl", "wget", "fetch", "http", "aria2c"})
_CONDAS = frozenset({"conda", "mamba", "micromamba", "pixi"})
_INDEX_OPTIONS = frozenset(
    {"-i", "--index-url", "--extra-index-url", "--index", "--default-index", "-f", "--find-links", "--source"}
)
_VALUE_OPTIONS = _INDEX_OPTIONS | frozenset(
    {
        *(
            "-r",
            "--requirement",
            "--requirements",
            "-c",
            "--constraint",
            "-t",
            "--target",
            "--prefix",
            "--python",
            "-p",
        ),
        *("-n", "--name", "--root", "--proxy", "--cert", "--timeout", "--retries", "--group", "--extra", "--with"),
        *("--platform", "--python-version", "--abi", "--implementation", "--cache-dir", "--exists-action", "--file"),
        *("--upgrade-package", "-P", "--no-binary", "--only-binary", "--trusted-host", "--log", "--src"),
    }
)
_ADDING = {"pip": ("install", "download", "wheel"), "uv": ("add", "sync", "run"), "poetry": ("add",), "pdm": ("add",)}
_VARIABLES = re.compile(r"(PIP|UV|CONDA|MAMBA|PDM)_[A-Z_]*(INDEX|FIND_LINKS|CHANNEL|CONFIG_FILE|PYPI_URL)[A-Z_]*")
_MOST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Installation:
    """What one command would install. `sources`: addresses of indexes; `wanted`: requirements as they stand there."""

    tool: str
    wanted: tuple[str, ...]
    sources: tuple[str, ...]
    channels: tuple[str, ...]


def judge(text: str, place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield what is to be said about a shell's text: a line of a cell, a cell of `%%bash`, a script."""
    words_before: list[str] = []
    for words, joined_by in _commands(text[:_MOST_TEXT]):
        name = PurePath(words[0]).name if words else ""
        yield from _judge_settings(words, place, grounds)
        if joined_by == "|" and name in _SHELLS and words_before and words_before[0] in _FETCHERS:
            yield rules.REMOTE_SCRIPT.found(place, f"{words_before[0]} … | {name}", clipped(" ".join(words_before)))
        if (found := _read_installation(_without_prefix(words))) is not None:
            yield from judge_installation(found, place, grounds)
        words_before = [PurePath(words[0]).name, *words[1:]] if words else []


def judge_installation(found: Installation, place: Place, grounds: Grounds) -> Iterator[Finding]:
    """Yield what is to be said about one command that installs."""
    for source in found.sources:
        if grounds.is_elsewhere(source):
            yield rules.INSTALL_ELSEWHERE.found(place, f"{found.tool} asks the index {host_of(source)}")
    for channel in found.channels:
        if grounds.is_foreign_channel(channel):
            yield rules.INSTALL_ELSEWHERE.found(place, f"{found.tool} asks the channel {clipped(channel, 80)}")
    named = []
    for wanted in found.wanted:
        if _is_place(wanted):
            yield rules.INSTALL_ELSEWHERE.found(place, f"{found.tool} installs from {host_of(_address_in(wanted))}")
        elif (name := name_of(wanted)) is not None:
            named.append(name)
            if (rule := grounds.refusal(name)) is not None:
                yield rules.BLOCKED_INSTALL.found(place, f"{found.tool} installs {name}, refused by the rule {rule!r}")
    if named:
        yield rules.SHELL_INSTALL.found(place, f"{found.tool} installs {clipped(', '.join(named))}")


def read_magic(name: str, line: str) -> Installation | None:
    """Return what `%pip`, `%conda` and the like would install."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return _read_installation([name, *words])


def name_of(requirement: str) -> str | None:
    """Return the package that a requirement names, as it is written; None for what is none."""
    # conda's one `=` is no requirement of pip's.
    head = re.split(r"(?<![=<>!~])=(?!=)", requirement, maxsplit=1)[0]
    try:
        return Requirement(head.strip().strip("\"'").rpartition("::")[2]).name
    except InvalidRequirement:
        return None


def _commands(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the words of each simple command, and by what it is joined to the one before."""
    joined_by = ""
    for line in text.replace("\\\n", " ").split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        words: list[str] = []
        try:
            for word in lexer:
                if word in _ENDS:
                    yield words, joined_by
                    words, joined_by = [], word
                else:
                    words.append(word)
        except ValueError:
            # An open quote: what can be told apart is judged.
            words = line.split()
        if words:
            yield words, joined_by
        joined_by = ""


def _without_prefix(words: Sequence[str]) -> list[str]:
    rest = list(words)
    while rest and (rest[0] in _BEFORE or _ASSIGNMENT.fullmatch(rest[0])):
        rest.pop(0)
    return rest


def _judge_settings(words: Sequence[str], place: Place, grounds: Grounds) -> Iterator[Finding]:
    rest = list(words)
    while rest and (rest[0] in _BEFORE | {"export", "set", "declare"} or _ASSIGNMENT.fullmatch(rest[0])):
        word = rest.pop(0)
        if (found := _ASSIGNMENT.fullmatch(word)) and leads_elsewhere(found["name"], found["value"], grounds):
            yield rules.DRIFT.found(place, f"{found['name']} leads to {host_of(found['value'])}")


def leads_elsewhere(name: str, value: str, grounds: Grounds) -> bool:
    """Tell whether an environment variable leads an installer away from the workspace's own index."""
    if not _VARIABLES.fullmatch(name) or not value.strip("\"' "):
        return False
    if "CHANNEL" in name:
        return any(grounds.is_foreign_channel(one) for one in re.split(r"[,\s]+", value.strip("\"'")) if one)
    return "CONFIG_FILE" in name or grounds.is_elsewhere(value)


def _read_installation(words: Sequence[str]) -> Installation | None:
    if not words:
        return None
    tool, rest = PurePath(words[0]).name, list(words[1:])
    if _PYTHON.fullmatch(tool) and rest[:1] == ["-m"] and len(rest) > 1:
        tool, rest = rest[1], rest[2:]
    if tool == "uv" and rest[:1] == ["pip"]:
        tool, rest = "uv pip", rest[1:]
    if tool in _CONDAS:
        return _read_options(tool, rest[1:]) if rest and rest[0] in ("install", "create", "add", "update") else None
    kind = "pip" if tool == "uv pip" or re.fullmatch(r"pip[0-9.]*", tool) else tool
    # Options of the tool itself stand before what it is to do.
    verb = next((word for word in rest if not word.startswith("-")), "")
    if tool == "uvx" or (tool == "uv" and verb == "tool"):
        return _read_options(tool, [word for word in rest if word not in ("tool", "run", "install")][:1])
    if kind not in _ADDING or verb not in _ADDING[kind]:
        return None
    after = rest[rest.index(verb) + 1 :]
    # What `uv run` and `uv sync` name besides options is no package.
    return _read_options(tool, after, wants=verb not in ("run", "sync"))


def _read_options(tool: str, words: Sequence[str], *, wants: bool = True) -> Installation:
    wanted, sources, channels = [], [], []
    waiting: str | None = None
    for word in words:
        option, _, value = word.partition("=")
        if waiting is not None:
            option, value, waiting = waiting, word, None
        elif word.startswith("-") and not value and _takes_value(tool, word):
            waiting = word
            continue
        elif not word.startswith("-"):
            if wants:
                wanted.append(word)
            continue
        if tool in _CONDAS and option in ("-c", "--channel"):
            channels.append(value)
        elif option in _INDEX_OPTIONS:
            # uv takes NAME=URL.
            sources.append(value.rpartition("=")[2] if "://" in value.rpartition("=")[2] else value)
        elif option in ("-e", "--editable"):
            wanted.append(value)
    return Installation(tool, tuple(wanted), tuple(sources), tuple(channels))


def _takes_value(tool: str, option: str) -> bool:
    return option in _VALUE_OPTIONS or (tool in _CONDAS and option in ("-c", "--channel"))


def _is_place(wanted: str) -> bool:
    return is_address(wanted) or " @ " in wanted or wanted.endswith((".whl", ".tar.gz", ".zip", ".conda", ".tar.bz2"))


def _address_in(wanted: str) -> str:
    return wanted.partition(" @ ")[2] or wanted.removeprefix("git+")
