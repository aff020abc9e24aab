"""Batch systems other than Slurm: tested on recorded or documented output, and on no real one."""
