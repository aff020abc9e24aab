"""The host's addresses: Jupyter's own, and those beside it."""
