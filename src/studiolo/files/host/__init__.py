"""The file host: carries bytes between workspaces' folders and whoever the front door let in (docs/decisions/006)."""
