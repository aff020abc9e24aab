"""Write docs/reference/settings.md from the settings models; a test compares it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from studiolo.server.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
_HEAD = """# Settings

Nothing needs to be set. A flag of `studiolo up` beats an environment variable, which beats `studiolo.toml` in the data
directory (`STUDIOLO_CONFIG` names another file). Groups are tables in the file and a double underscore in variables:
`[sessions]` `stop_grace = "20s"` is `STUDIOLO_SESSIONS__STOP_GRACE=20s`. A duration is a number of seconds, or a number
with s, m, h or d. A list is written as JSON in a variable: `STUDIOLO_HOSTNAMES='["lab", "10.0.0.5"]'`.

Flags: `--data-dir`, `--port`, `--host`, `--domain`, `--tls`, `--tls-cert`, `--tls-key`. `make dev-up` honours the
variables, and puts the data directory into the clone (`.studiolo`) unless `STUDIOLO_DATA_DIR` names another.

*Made from the models by `scripts/settings_reference.py`.*
"""
_DATA_DIR_DEFAULT = "`~/.local/share/studiolo` (`$XDG_DATA_HOME/studiolo`)"


def page() -> str:
    """Return the page's text."""
    return _HEAD + "".join(_section(Settings, "", "STUDIOLO_"))


def _section(model: type[BaseModel], table: str, prefix: str) -> Iterator[str]:
    groups = {name: field for name, field in model.model_fields.items() if _group(field)}
    heading = f"`[{table}]`" if table else "General"
    yield f"\n## {heading}\n\n{(model.__doc__ or '').strip()}\n\n"
    yield "| Key | Variable | Default | Meaning |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        if name not in groups:
            yield f"| `{name}` | `{prefix}{name.upper()}` | {_default(name, field)} | {field.description} |\n"
    for name, field in groups.items():
        yield from _section(_group(field), f"{table}.{name}" if table else name, f"{prefix}{name.upper()}__")  # type: ignore[arg-type]


def _group(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return _DATA_DIR_DEFAULT
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    if value is None or value == "":
        return "none"
    if isinstance(value, SecretStr):
        return "secret"
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    return f"`{value if isinstance(value, str) else json.dumps(value, default=str)}`"


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


if __name__ == "__main__":
    PAGE.write_text(page())
