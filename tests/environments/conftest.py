"""A tiny wheel and a lock that names it."""

from pathlib import Path

import pytest

from environments.wheels import make_wheel, write_lock


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A tiny wheel."""
    return make_wheel(tmp_path, "tiny", "1.0")


@pytest.fixture
def lock(tmp_path: Path, wheel: Path) -> Path:
    """A lock that names it."""
    return write_lock(tmp_path / "tiny.lock", wheel)
