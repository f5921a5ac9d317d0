"""Run by Alembic: migrates over the connection that ``cloud_hub.migrations`` hands it, inside its transaction."""

from alembic import context

import cloud_hub.models
from cloud_hub.db import Base

assert cloud_hub.models.__all__  # noqa: S101 (imported so that every table is registered)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=False,
    transactional_ddl=True,
)
context.run_migrations()
