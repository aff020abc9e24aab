"""What is in an environment and in notebooks that should not be, found without running any of it."""
