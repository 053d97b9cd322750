"""several may share a ledger: whose thanks and whose letter it is, and pauses and questions of each by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_OF_EACH = ("paused_at", "paused_until", "asked_at")


def upgrade() -> None:
    for table, column in (("thanks", "owner"), ("letter", "writer"), ("letter", "seat"), ("nudge", "seat")):
        op.add_column(table, sa.Column(column, sa.String(), server_default=sa.text("''"), nullable=False))
    op.create_table(
        "member",
        sa.Column("owner", sa.String(), nullable=False),
        *(sa.Column(name, sa.DateTime(), nullable=True) for name in _OF_EACH),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.execute(
        "INSERT INTO member (owner, paused_at, paused_until, asked_at) "
        "SELECT '', paused_at, paused_until, asked_at FROM ledger"
    )
    if op.get_bind().dialect.name == "postgresql":
        # Names are looked for in ranges, and sorted, as in SQLite: a database of a language leaves spaces out.
        op.alter_column("person", "name_key", type_=sa.String(collation="C"))
    with op.batch_alter_table("ledger") as ledger:
        for name in _OF_EACH:
            ledger.drop_column(name)
