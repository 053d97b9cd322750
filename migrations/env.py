"""Alembic's door: run on the connection that thanksd.database hands over, inside its transaction."""

from alembic import context

from thanksd.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
