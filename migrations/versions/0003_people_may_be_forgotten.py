"""people may be forgotten: their thanks are nobody's, and of their address a salted hash stays."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "do_not_contact",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.add_column("ledger", sa.Column("salt", sa.String(), nullable=True))
    ledger = sa.table("ledger", sa.column("salt", sa.String()))
    op.execute(ledger.update().values(salt=secrets.token_hex(16)))
    with op.batch_alter_table("ledger") as batch:
        batch.alter_column("salt", existing_type=sa.String(), nullable=False)
    newest = _newest_thanks()
    with op.batch_alter_table("thanks", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("person_id", existing_type=sa.Integer(), nullable=True)
        batch.alter_column("meeting_id", existing_type=sa.Integer(), nullable=True)
    _go_on_after(newest)


def _newest_thanks() -> int | None:
    """Give the highest number a thanks ever had, where the table is made anew and would forget it."""
    if op.get_context().dialect.name != "sqlite":
        return None
    return op.get_bind().execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'thanks'")).scalar()


def _go_on_after(newest: int | None) -> None:
    if newest is None:
        return
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'thanks'")
    op.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('thanks', :newest)").bindparams(newest=newest))
