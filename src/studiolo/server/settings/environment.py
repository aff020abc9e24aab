"""Settings as environment variables: how the parts of the platform get theirs, whole."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from studiolo.server.settings.settings import Settings

PREFIX = "STUDIOLO_"
_NESTED = "__"


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which `load_settings` makes equal settings. Unset (None) ones are left out."""
    return dict(_flat(PREFIX, settings.model_dump(mode="json")))


def plain_environment() -> dict[str, str]:
    """Return this process's environment without settings: some hold secrets that not every part may know."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        full = f"{prefix}{name.upper()}"
        if isinstance(value, Mapping):
            yield from _flat(f"{full}{_NESTED}", value)
        elif isinstance(value, str):
            yield full, value
        elif value is not None:
            yield full, json.dumps(value)
