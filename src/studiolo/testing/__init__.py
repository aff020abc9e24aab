"""The test kit for engines: a fake one to test against, and a suite that each real one must pass."""
