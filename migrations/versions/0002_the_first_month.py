"""what the first month needs: a stamp of the machine, pauses, bad addresses, practice, copies to oneself."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "bad_address",
        sa.Column("email_key", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("email_key"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("install", sa.String(), nullable=True),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.Column("serial", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("paused_at", sa.DateTime(), nullable=True),
        sa.Column("paused_until", sa.DateTime(), nullable=True),
        sa.Column("asked_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    # Copies of one ledger get one name, also where each is brought up to date by itself.
    insert = sa.text(
        "INSERT INTO ledger (id, uid, serial) "
        "VALUES (1, coalesce((SELECT uid FROM thanks ORDER BY id LIMIT 1), :new), 0)"
    )
    op.execute(insert.bindparams(new=uuid.uuid4().hex))
    op.add_column("thanks", sa.Column("practice", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("letter", sa.Column("copy", sa.String(), server_default=sa.text("''"), nullable=False))
    op.add_column("letter", sa.Column("leaves_at", sa.DateTime(), nullable=True))
    op.execute("UPDATE letter SET leaves_at = send_after")
    with op.batch_alter_table("letter") as letter:
        letter.alter_column("leaves_at", existing_type=sa.DateTime(), nullable=False)
    with op.batch_alter_table("nudge") as nudge:
        nudge.alter_column("thanks_id", existing_type=sa.Integer(), nullable=True)
