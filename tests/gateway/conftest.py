"""Fixtures of the shipped test kit, and of the bridge, that tests of the kernel host need."""

from gateway.bridging import bridge, shared_process, workbench
from studiolo.testing.fixtures import environment, run_dir

__all__ = ["bridge", "environment", "run_dir", "shared_process", "workbench"]
