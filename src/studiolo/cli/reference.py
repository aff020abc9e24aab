"""The reference page of the command line, made from the commands: `python -m studiolo.cli.reference`."""

import sys
import textwrap
from typing import Any

from typer.main import get_command

from studiolo.cli.command import app_for
from studiolo.cli.table import COMMANDS, GROUPS, Entry
from studiolo.contract.errors import EXIT_CODE, Unavailable

_SHARED = ("--json", "--verbose", "--url", "--insecure", "--help")
_HEAD = """# Command line

`studiolo X`, `ml jupyter X`, `ml X` and `jupyter studiolo X` are the same command X. Options are written
`--flag value` or `--flag=value`.

Made from the commands by `python -m studiolo.cli.reference`; a test compares it.

## On every command

| Option | Meaning |
|---|---|
| `--json` | Print one JSON document on stdout: the result, or a problem object (RFC 9457) with `code` and `hint`. |
| `--verbose` | Show the trace of an error. |
| `--url URL` | Address of the platform, for commands that talk to one. |
| `--insecure` | Send the key to another machine unencrypted, for commands that talk to one. |
| `-h`, `--help` | Show what the command takes. |

Data goes to stdout, all else to stderr. Tables are cut to the terminal and not at all elsewhere. `NO_COLOR` is obeyed.
"""


def reference() -> str:
    """Return the page as Markdown; commands that are not installed here are named without their options."""
    parts = [_HEAD, _exit_codes()]
    for group in GROUPS:
        parts.append(f"## {group}\n")
        parts += [_section(entry) for entry in COMMANDS if entry.group == group]
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = [f"| {code} | {kind} |" for kind, code in sorted(EXIT_CODE.items(), key=lambda item: item[1])]
    head = ["## Exit codes", "", "| Code | Kind of error |", "|---|---|", "| 0 | none |"]
    return "\n".join([*head, *rows, "| 127 | `exec`: no such program |", "| 130 | Ctrl-C |", ""])


def _section(entry: Entry) -> str:
    try:
        command = get_command(app_for(entry))
    except Unavailable:
        return f"### {entry.words}\n\n{entry.summary}. Needs `studiolo[server]`.\n"
    params = [param for param in command.params if not set(param.opts) & set(_SHARED)]
    arguments = [param for param in params if param.param_type_name == "argument"]
    usage = [f"studiolo {entry.words}", *(_usage(param) for param in arguments), *_options_mark(params)]
    lines = [f"### {entry.words}", "", f"`{' '.join(usage)}`", "", _help(command.help or entry.summary), ""]
    if params:
        lines += ["| | |", "|---|---|", *(_row(param) for param in params), ""]
    return "\n".join(lines)


def _help(text: str) -> str:
    r"""Return help as Markdown: what `\b` keeps from being wrapped is code."""
    words, *kept = text.split("\b\n")
    blocks = [f"{head}\n\n```\n{textwrap.dedent(rest)}\n```" for head, _, rest in (k.partition("\n") for k in kept)]
    return "\n\n".join([words.strip(), *blocks])


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _options_mark(params: list[Any]) -> list[str]:
    return ["[OPTIONS]"] if any(param.param_type_name == "option" for param in params) else []


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"| `{param.metavar or param.name.upper()}` | {param.help or ''} |"
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    value = "" if param.is_flag else f" `{param.metavar or 'VALUE'}`"
    needed = " Needed." if param.required else ""
    return f"| {names}{value} | {param.help or ''}{needed} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
