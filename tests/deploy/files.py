"""What the files in deploy/ say, read as their tools read them."""

import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
_CHOSEN = re.compile(r"\$\{(\w+):-([^}]*)\}")


def service(*names: str, **chosen: str) -> dict[str, Any]:
    """The platform's service in compose files, the later ones over the former; `chosen`: variables of the reader."""
    merged: dict[str, Any] = {}
    for name in names:
        text = _CHOSEN.sub(lambda found: chosen.get(found[1], found[2]), (DEPLOY / "compose" / name).read_text())
        for key, value in yaml.safe_load(text)["services"]["platform"].items():
            if key == "environment":
                merged.setdefault(key, {}).update({name: str(text) for name, text in value.items()})
            elif key in merged and isinstance(value, list):
                merged[key] = [*merged[key], *value]
            else:
                merged[key] = value
    return merged


def unit() -> list[tuple[str, str]]:
    """The lines of the unit's [Service]; a name may stand there more than once."""
    text = (DEPLOY / "systemd/studiolo.service").read_text().partition("[Service]")[2].partition("\n[")[0]
    lines = (line.partition("=") for line in text.splitlines() if line[:1].isupper())
    return [(name, value) for name, _, value in lines]


def image_variables() -> dict[str, str]:
    """The settings that the platform's image has."""
    text = (DEPLOY / "images/platform/Containerfile").read_text()
    return dict(re.findall(r"\b(STUDIOLO_\w+)=(\S+)", text))
