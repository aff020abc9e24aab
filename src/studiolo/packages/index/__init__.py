"""The index host: serves what a workspace's policy allows, of the channels that the operator named (decision 007)."""
