"""Sessions as named servers of an existing JupyterHub, by its REST API: all of its spawners serve our people."""
