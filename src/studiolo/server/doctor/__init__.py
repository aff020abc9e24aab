"""The doctor: independent checks of this machine and of the platform on it."""
