"""Domain-blind tools: database, clock, keys, reconcile runner, caches."""
