"""Workspaces: what people own and share."""
