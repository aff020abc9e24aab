"""What is to be said about one file of a workspace, by its name and content."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from studiolo.contract.scans import Finding, Place
from studiolo.contract.sizes import describe_size
from studiolo.packages.scan import drift, rules
from studiolo.packages.scan.code import judge_python
from studiolo.packages.scan.commands import judge as judge_commands
from studiolo.packages.scan.grounds import Grounds
from studiolo.packages.scan.notebooks import judge_notebook
from studiolo.packages.scan.secrets import Keyed, find_secrets
from studiolo.packages.scan.walking import File, read_file, shown

_MIB = 2**20
_MOST_NOTEBOOK = 50 * _MIB
_MOST_TEXT = 2 * _MIB
_MOST_FINDINGS = 200
_PACKAGES = (".whl", ".conda", ".egg", ".pyz", ".tar.bz2")
_SHELLS = (".sh", ".bash", ".zsh")
_TEXTS = (
    *(".py", ".pyi", ".r", ".jl", ".sh", ".bash", ".zsh", ".sql", ".js", ".ts", ".md", ".rst", ".txt", ".csv", ".tsv"),
    *(".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".conf", ".env", ".xml", ".html", ".pem", ".key", ".log"),
    *(".netrc", ".npmrc", ".pypirc", ".properties", ".tf", ".tfvars", ".in", ".condarc", ".mambarc"),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files of the workspace at `root` and says what is in them."""

    root: Path
    grounds: Grounds
    keyed: Keyed

    def wants(self, file: File) -> bool:
        """Tell whether a file of this name is looked into."""
        name = PurePosixPath(file.path).name.lower()
        return name.endswith((".ipynb", *_PACKAGES, *_TEXTS)) or name.startswith((".env", "id_")) or "." not in name

    def judge(self, file: File) -> list[Finding]:
        """Return what is to be said about a file, at most some hundred things."""
        found: dict[str, Finding] = {}
        for one in self._judge(file):
            found.setdefault(one.id, one)
            if len(found) == _MOST_FINDINGS:
                what = f"More than {_MOST_FINDINGS} findings in one file; the rest was not looked for"
                rest = rules.INCOMPLETE.found(Place(path=shown(file.path)), what, "findings")
                found[rest.id] = rest
                break
        return list(found.values())

    def _judge(self, file: File) -> Iterator[Finding]:
        place, name = Place(path=shown(file.path)), PurePosixPath(file.path).name.lower()
        if name.endswith(_PACKAGES):
            yield rules.ARCHIVE.found(place, f"A package of {describe_size(file.size)}", "package")
            return
        is_notebook = name.endswith(".ipynb")
        most = _MOST_NOTEBOOK if is_notebook else _MOST_TEXT
        if is_notebook and file.size > most:
            yield rules.UNREADABLE.found(
                place, f"It has {describe_size(file.size)}; {describe_size(most)} are read", "size"
            )
            return
        try:
            content = read_file(self.root, file.path, most)
        except OSError as exc:
            yield rules.UNREADABLE.found(place, f"It cannot be read: {exc.strerror}", "open")
            return
        if is_notebook:
            yield from judge_notebook(content, shown(file.path), self.grounds, self.keyed)
        # What holds NUL is no text, whatever it is called.
        elif b"\0" not in content[:8192]:
            yield from self._judge_text(content.decode(errors="replace"), name, file.path, place)

    def _judge_text(self, text: str, name: str, path: str, place: Place) -> Iterator[Finding]:
        if name.endswith(".py"):
            yield from judge_python(text, place, self.grounds)
            yield from drift.judge_script(text, place, self.grounds)
        elif drift.is_settings(path):
            yield from drift.judge_settings(text, path, place, self.grounds)
        elif name.endswith(_SHELLS) or text.startswith(("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash")):
            for number, line in enumerate(text.split("\n"), 1):
                at = place.model_copy(update={"line": number})
                yield from judge_commands(line, at, self.grounds)
        elif name.startswith(".env") or name.endswith(".env"):
            yield from drift.judge_variable_lines(text, place, self.grounds)
        yield from find_secrets(text, place, self.keyed)
