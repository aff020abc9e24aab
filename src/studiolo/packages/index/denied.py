"""Tombstones: where files of what is refused seem to lie, so that each tool's words name what stands against it.

`denied/{CODE}-{name}--run--ml-jupyter-request-{workspace}-{name}/{file}`: no tool shows what an index page answers, but
all of them show the address of the file that they were refused.
"""

import re

from studiolo.packages.policy.decisions import Decision

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9._:&=<>!~+*-]+")
_FOLDER = re.compile(r"([A-Z-]+?)-(?P<name>[a-z0-9-]+)--run--ml-jupyter-request-[A-Za-z0-9._-]+-(?P=name)", re.ASCII)


def folder_of(code: str, name: str, workspace: str) -> str:
    """Return the folder for a refused project. `workspace`: its name as people type it."""
    spelled = _UNSAFE.sub("-", workspace)
    return f"{code.upper()}-{name}--run--ml-jupyter-request-{spelled}-{name}"


def explain(decision: Decision, name: str, version: str, workspace: str) -> str:
    """Return the same for a version that is left out, in one word as `Requires-Python: ===…` can hold it."""
    folder = folder_of(decision.code, name, workspace).partition("--run--")
    rule = _UNSPEAKABLE.sub("-", (decision.rule or "").replace(": ", ":").replace(",", "&"))
    return "".join((folder[0], f"--{rule}" if rule else "", *folder[1:], f"=={version}"))


def read_folder(folder: str) -> tuple[str, str] | None:
    """Return the code and the project's canonical name; None for what is no such folder."""
    found = _FOLDER.fullmatch(folder)
    return (found[1].lower(), found["name"]) if found else None
