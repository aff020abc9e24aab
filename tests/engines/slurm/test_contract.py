"""The batch engine keeps the contract of engines on a real Slurm."""

import pytest

from studiolo.testing.engine_contract import *  # noqa: F403

pytestmark = [pytest.mark.engine, pytest.mark.engine_slurm]
