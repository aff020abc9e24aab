"""The engines of this platform: which there are, how they are, and calls to them that end in time."""
