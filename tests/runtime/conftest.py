"""The fixtures of the shipped test kit."""

from studiolo.testing.fixtures import *  # noqa: F403
