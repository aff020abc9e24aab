"""The batch systems by name."""

from studiolo.engines.slurm.dialect import Dialect
from studiolo.engines.slurm.slurm import Slurm

SYSTEMS: dict[str, type[Dialect]] = {"slurm": Slurm}


def dialect_for(system: str) -> Dialect:
    """Return the dialect of that name, as the settings have it."""
    return SYSTEMS[system]()
