"""Settings as environment variables: how the parts of the platform get theirs, whole."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from studiolo.server.settings.settings import Settings

PREFIX = "STUDIOLO_"
_NESTED = "__"


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which `load_settings` makes equal settings. Unset (None) ones are left out."""
    return dict(_flat(PREFIX, settings, settings.model_dump(mode="json")))


def plain_environment() -> dict[str, str]:
    """Return this process's environment without settings: some hold secrets that not every part may know."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _flat(prefix: str, group: BaseModel, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        full, found = f"{prefix}{name.upper()}", getattr(group, name)
        if isinstance(found, BaseModel):
            yield from _flat(f"{full}{_NESTED}", found, value)
        elif isinstance(value, str):
            yield full, value
        elif value is not None:
            # Names in a table are people's own: they are no parts of a variable's name.
            yield full, json.dumps(value)
