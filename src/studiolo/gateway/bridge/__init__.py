"""One running kernel and its clients."""
