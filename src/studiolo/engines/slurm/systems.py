"""The batch systems by name."""

from studiolo.engines.slurm.dialect import Dialect
from studiolo.engines.slurm.presets.gridengine import GridEngine
from studiolo.engines.slurm.presets.htcondor import HTCondor
from studiolo.engines.slurm.presets.lsf import LSF
from studiolo.engines.slurm.presets.pbs import PBS
from studiolo.engines.slurm.presets.torque import Moab, Torque
from studiolo.engines.slurm.settings import System
from studiolo.engines.slurm.slurm import Slurm

SYSTEMS: dict[System, type[Dialect]] = {
    "slurm": Slurm,
    "pbs": PBS,
    "torque": Torque,
    "moab": Moab,
    "lsf": LSF,
    "gridengine": GridEngine,
    "htcondor": HTCondor,
}


def dialect_for(system: System) -> Dialect:
    """Return the dialect of that name, as the settings have it."""
    return SYSTEMS[system]()
