"""Versions of the database's schema, applied by `server.schema`."""
