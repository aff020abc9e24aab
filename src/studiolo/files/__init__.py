"""Files of workspaces, reached without a session: by handles, so that no name, link or race leads out of one."""
