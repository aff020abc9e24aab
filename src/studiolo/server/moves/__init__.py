"""Moves of workspaces between engines, with their files (decision 010)."""
