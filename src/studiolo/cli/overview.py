"""The help that needs no command to be loaded."""

from collections.abc import Sequence

from studiolo.cli.table import GROUPS, Entry


def overview(program: str, entries: Sequence[Entry]) -> str:
    """Return the help over commands, in their groups; `program` may end in a noun, such as `studiolo keys`."""
    width = max(len(entry.words) for entry in entries)
    lines = [f"Usage: {program} COMMAND [OPTIONS]", ""]
    if len({entry.group for entry in entries}) > 1:
        lines += ["Team notebooks you host yourself.", ""]
    for group in GROUPS:
        rows = [entry for entry in entries if entry.group == group]
        if rows:
            lines += [f"{group}:", *(f"  {row.words:<{width}}  {row.summary}" for row in rows), ""]
    lines += [
        "Every command takes --json (one JSON document on stdout) and --verbose.",
        f"Help for one: {program} {entries[0].words} --help",
    ]
    return "\n".join(lines)
