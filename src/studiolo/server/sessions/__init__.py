"""Sessions: running notebook servers of workspaces."""
