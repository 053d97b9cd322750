"""notes worth sending: promises are nudged about, people have interests, letters say what they were, replies count."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("promise", sa.Column("popup_at", sa.DateTime(), nullable=True))
    # The program of before said nothing of them: what was promised for a day is nudged about on that day.
    op.execute("UPDATE promise SET popup_at = due WHERE done_at IS NULL")
    op.add_column("nudge", sa.Column("promise_id", sa.Integer(), nullable=True))
    op.add_column("person", sa.Column("replied_at", sa.DateTime(), nullable=True))
    op.add_column("letter", sa.Column("intent", sa.String(), server_default=sa.text("'thanks'"), nullable=False))
    op.add_column("thanks", sa.Column("outcome_of", sa.Integer(), nullable=True))
    op.add_column("thanks", sa.Column("coordinates", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "interest",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_interest_person_id", "interest", ["person_id"])
    for name, table, column in (
        ("promise_popup", "promise", "popup_at"),
        ("thanks_via", "thanks", "via_id"),
        ("thanks_outcome", "thanks", "outcome_of"),
    ):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
