from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from studiolo.server.settings import Settings, load_settings
from studiolo.server.settings.environment import plain_environment, settings_environment

CASES: list[dict[str, Any]] = [
    {},
    {"host": "::1", "port": 443, "domain": "lab.example.com", "hostnames": ["a", "10.0.0.5"]},
    {"database_url": 'postgresql+asyncpg://u:p"w@h/d'},
    {"tls": {"mode": "files", "certificate": Path("/c e.pem"), "key": Path("/k.pem")}},
    {"sessions": {"stop_grace": timedelta(seconds=1.5), "origin": "own", "max_running": 3}},
    {"workspaces": {"allowed_roots": [Path("/data"), Path("/more data")]}},
]


@pytest.mark.parametrize("flags", CASES)
def test_a_part_loads_the_very_settings_of_its_supervisor(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, flags: dict[str, Any]
) -> None:
    settings = make_settings(**flags)
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_parts_without_settings_see_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_DATABASE_URL", "postgresql://u:secret@h/d")
    assert "secret" not in str(plain_environment())
