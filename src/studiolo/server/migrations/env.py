"""Alembic's entry: runs the versions on the connection that `server.schema` hands over."""

from alembic import context

from studiolo.server.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
