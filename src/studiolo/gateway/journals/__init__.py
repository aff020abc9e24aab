"""A kernel's numbered output on disk."""
