"""Images that are made of workspaces' environments (see docs/decisions/015)."""
