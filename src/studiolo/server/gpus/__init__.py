"""GPUs that the platform leases one by one: who has which, and who is told when some are free."""
