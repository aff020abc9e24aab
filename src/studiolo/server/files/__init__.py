"""Files of workspaces: who may read and change them; what changes is recorded here, bytes are the file host's."""
