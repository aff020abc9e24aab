"""The launcher API: launch notebooks and manage workspaces from Python."""

from notebooks.launcher import NotebookLauncher, WorkspaceManager

__all__ = ["NotebookLauncher", "WorkspaceManager"]
