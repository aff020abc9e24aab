"""Fixtures that the SDK and what stands on it share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.testing.stand_in import StandIn, stand_in


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of the test's own, and no platform named in the environment."""
    for name in ("URL", "KEY", "KEY_FILE", "PORT", "DATA_DIR", "CA_FILE"):
        monkeypatch.delenv(f"STUDIOLO_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def platform() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running
