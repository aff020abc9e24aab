"""Write docs/reference/errors.md and docs/reference/operations.md from the contract; a test compares them."""

from pathlib import Path

from studiolo.contract.errors import CODES, EXIT_CODE, HTTP_STATUS, KINDS
from studiolo.contract.operations import ADMIN_MAY, OPERATIONS, SCOPES, Access

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
_ACCESS = {Access.PUBLIC: "anybody", Access.SIGNED_IN: "signed in", Access.ADMIN: "administrators"}


def pages() -> dict[Path, str]:
    """Return each page's text by its path."""
    return {REFERENCE / "errors.md": _errors(), REFERENCE / "operations.md": _operations()}


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "Over REST every error is a problem (RFC 9457, `application/problem+json`) with a stable `code`, its `kind`, a",
        "sentence (`detail`) and often a next step (`hint`). The Python client raises the class of the kind; the",
        "command line prints sentence and hint and ends with the exit code of the kind.",
        "",
        "| Kind | Class | HTTP | Exit code |",
        "|---|---|---|---|",
        *(f"| {kind} | `{cls.__name__}` | {HTTP_STATUS[kind]} | {EXIT_CODE[kind]} |" for kind, cls in KINDS.items()),
        "",
        "A body over the limit answers 413 and an unknown Host 421, both of kind `invalid`.",
        "",
        "| Code | Means |",
        "|---|---|",
        *(f"| `{code}` | {words} |" for code, words in sorted(CODES.items())),
    ]
    return "\n".join([*lines, "", "*Made by `scripts/errors_reference.py`.*", ""])


def _operations() -> str:
    lines = [
        "# Operations: who may do what",
        "",
        "Every route names one operation; the platform does not start with a route that names none. *Role*: the least",
        "role on the workspace concerned. *Administrators*: whether they may do it without being a member.",
        "",
        "| Operation | What | Who | Scope of a key | Role | Administrators |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{name}` | {rule.summary} | {_ACCESS[rule.access]} | {rule.scope or ''} | {rule.role or ''} "
            f"| {'yes' if name in ADMIN_MAY else ''} |"
            for name, rule in OPERATIONS.items()
        ),
        "",
        "A session carries the power of whoever launched it: only that person starts, enters and restarts it.",
        "",
        "| Scope | Lets a key |",
        "|---|---|",
        *(f"| `{scope}` | {words} |" for scope, words in SCOPES.items()),
    ]
    return "\n".join([*lines, "", "*Made by `scripts/errors_reference.py`.*", ""])


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
