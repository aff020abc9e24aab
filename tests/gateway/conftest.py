"""Fixtures of the shipped test kit that tests of the kernel host need."""

from studiolo.testing.fixtures import environment, run_dir

__all__ = ["environment", "run_dir"]
