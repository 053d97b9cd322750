"""The nouns as tables: who was met, what is owed, what was written and what happened. No queries here.

Times are UTC and aware; a zone's name stands beside a time where people will want its wall clock back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.expression import ColumnClause


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored as UTC. SQLite drops offsets silently, so a naive time is refused, not guessed."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  theirs
        """Refuse a naive time with ValueError; give UTC without the zone, as the column holds it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone can't be stored: {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  theirs
        """Give the moment back aware."""
        return None if value is None else value.replace(tzinfo=UTC)


# More than 31 bits, in a column that SQLite would call INTEGER anyway.
_BIG = BigInteger().with_variant(Integer(), "sqlite")


# Text that is sorted, or looked for in a range: by its code points, as in SQLite, whatever language a server's database
# sorts by. Most of those leave spaces and punctuation out.
_SORTED = String().with_variant(String(collation="C"), "postgresql")


# The number of a row is not given again once the row is gone.
_NEVER_REUSED = {"sqlite_autoincrement": True}


class Base:
    """A noun: a class whose columns are those of one table, and which stands for that table in a statement.

    SQLAlchemy's Core alone: its ORM, whose objects nothing here needs, would cost each command that starts for itself a
    third as much again. `metadata` holds all tables. An attribute is typed as a ColumnClause, since SQLAlchemy 2.1 has
    type checkers refuse a Column that is read from a class.
    """

    metadata: ClassVar[MetaData] = MetaData()
    __tablename__: ClassVar[str]
    __table_args__: ClassVar[tuple[SchemaItem, ...]] = ()
    __table_options__: ClassVar[Mapping[str, Any]] = {}
    __table__: ClassVar[Table]

    def __init_subclass__(cls) -> None:
        """Make the table, its columns named as their attributes are."""
        columns = {name: value for name, value in vars(cls).items() if isinstance(value, Column)}
        for name, column in columns.items():
            column.name = column.key = name
        cls.__table__ = Table(
            cls.__tablename__, Base.metadata, *columns.values(), *cls.__table_args__, **cls.__table_options__
        )

    @classmethod
    def __clause_element__(cls) -> Table:
        """Give what SQLAlchemy takes in place of this class."""
        return cls.__table__


def _only(name: str, column: str, condition: str, *, unique: bool = False) -> Index:
    """Give an index of the rows that meet a condition, which holds no bound parameter: stores use it only so."""
    # Migrations make it, on a server too; saying postgresql_where here would load that dialect at every start.
    return Index(name, column, unique=unique, sqlite_where=text(condition))


class Person(Base):
    """Somebody you met. `name_key` and `email_key` are folded (case, accents) for finding them again.

    `replied_at` is when you last heard from them, as far as you said so.
    """

    __tablename__ = "person"
    __table_options__ = _NEVER_REUSED
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    name: ColumnClause[str] = Column(String, nullable=False)
    name_key: ColumnClause[str] = Column(_SORTED, index=True, nullable=False)
    email: ColumnClause[str | None] = Column(String)
    email_key: ColumnClause[str | None] = Column(String, unique=True)
    lang: ColumnClause[str | None] = Column(String)
    tz: ColumnClause[str | None] = Column(String)
    seniority: ColumnClause[str] = Column(String, nullable=False)
    created_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    replied_at: ColumnClause[datetime | None] = Column(UtcDateTime)


class Meeting(Base):
    """An encounter. `day` is its local date in `tz`; source, uid and recurrence_id name an imported one."""

    __tablename__ = "meeting"
    __table_args__ = (UniqueConstraint("source", "uid", "recurrence_id"),)
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    kind: ColumnClause[str] = Column(String, nullable=False)
    at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    tz: ColumnClause[str] = Column(String, nullable=False)
    day: ColumnClause[str] = Column(String, nullable=False)
    place: ColumnClause[str] = Column(String, nullable=False)
    about: ColumnClause[str] = Column(String, nullable=False)
    source: ColumnClause[str | None] = Column(String)
    uid: ColumnClause[str | None] = Column(String)
    recurrence_id: ColumnClause[str | None] = Column(String)


class Thanks(Base):
    """The duty owed to one person for one meeting. It is open while `closed_at` is null.

    `nudge_at` makes it due for every reader; `popup_at` is when the next popup may show, by cadence and quiet hours,
    and null where none is wanted. `outright` says that the user named the moment, so quiet hours don't move it.
    `undo_state` and `undo_nudge_at` hold what a snooze, waive or done can be taken back to. `practice` is the letter to
    oneself of the first day: it takes the whole way and is outside every count.

    `owner` is the folded address of the one who had the meeting and owes the thanks, in a ledger that several share;
    empty in a ledger of one's own.

    `outcome_of` is the thanks to somebody else whom this person introduced: this one tells what came of it. Who
    `coordinates` brought the others of the meeting together, and is asked to pass thanks on to those without an
    address.

    Person and meeting are null, together, where somebody was forgotten: the row is nobody's, stays for the counts
    alone, and its uid is the salted hash of the one it had.
    """

    __tablename__ = "thanks"
    __table_args__ = (
        UniqueConstraint("person_id", "meeting_id"),
        _only("thanks_open", "nudge_at", "closed_at IS NULL"),
        _only("thanks_popup", "popup_at", "popup_at IS NOT NULL"),
        _only("thanks_via", "via_id", "via_id IS NOT NULL"),
        _only("thanks_outcome", "outcome_of", "outcome_of IS NOT NULL"),
    )
    __table_options__ = _NEVER_REUSED
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    uid: ColumnClause[str] = Column(String, unique=True, nullable=False)
    person_id: ColumnClause[int | None] = Column(Integer, ForeignKey("person.id"))
    meeting_id: ColumnClause[int | None] = Column(Integer, ForeignKey("meeting.id"), index=True)
    via_id: ColumnClause[int | None] = Column(Integer, ForeignKey("person.id"))
    state: ColumnClause[str] = Column(String, nullable=False)
    details: ColumnClause[list[str]] = Column(JSON, nullable=False)
    template: ColumnClause[str | None] = Column(String)
    nudge_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    due_by: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    popup_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    outright: ColumnClause[bool] = Column(Boolean, nullable=False)
    created_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    changed_at: ColumnClause[datetime] = Column(UtcDateTime, index=True, nullable=False)
    closed_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    how: ColumnClause[str | None] = Column(String)
    reason: ColumnClause[str | None] = Column(String)
    undo_state: ColumnClause[str | None] = Column(String)
    undo_nudge_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    practice: ColumnClause[bool] = Column(Boolean, server_default=false(), nullable=False)
    owner: ColumnClause[str] = Column(String, server_default=text("''"), nullable=False)
    outcome_of: ColumnClause[int | None] = Column(Integer)
    coordinates: ColumnClause[bool] = Column(Boolean, server_default=false(), nullable=False)


class Promise(Base):
    """Something you said you would do for them. `popup_at` is when its next popup may show, null once it is done."""

    __tablename__ = "promise"
    __table_args__ = (_only("promise_popup", "popup_at", "popup_at IS NOT NULL"),)
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    thanks_id: ColumnClause[int] = Column(
        Integer, ForeignKey("thanks.id", ondelete="CASCADE"), index=True, nullable=False
    )
    text: ColumnClause[str] = Column(String, nullable=False)
    due: ColumnClause[datetime | None] = Column(UtcDateTime)
    done_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    popup_at: ColumnClause[datetime | None] = Column(UtcDateTime)


class Interest(Base):
    """What somebody cares about, from where you know it, and since when: the seed of something to give."""

    __tablename__ = "interest"
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    person_id: ColumnClause[int] = Column(
        Integer, ForeignKey("person.id", ondelete="CASCADE"), index=True, nullable=False
    )
    text: ColumnClause[str] = Column(String, nullable=False)
    source: ColumnClause[str] = Column(String, nullable=False)
    at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)


class Draft(Base):
    """The note being written. `edited` means that a person's hand was on it: it is never rendered anew then.

    The `prepared_` columns are the exact bytes that were last shown for confirming, and what was shown with them:
    the envelope recipient and how the letter leaves (a hold in seconds, or a moment).
    """

    __tablename__ = "draft"
    thanks_id: ColumnClause[int] = Column(Integer, ForeignKey("thanks.id", ondelete="CASCADE"), primary_key=True)
    subject: ColumnClause[str] = Column(String, nullable=False)
    body: ColumnClause[str] = Column(String, nullable=False)
    template: ColumnClause[str] = Column(String, nullable=False)
    edited: ColumnClause[bool] = Column(Boolean, nullable=False)
    prepared_raw: ColumnClause[bytes | None] = Column(LargeBinary)
    prepared_sha256: ColumnClause[str | None] = Column(String)
    prepared_message_id: ColumnClause[str | None] = Column(String)
    prepared_to: ColumnClause[str | None] = Column(String)
    prepared_hold: ColumnClause[int | None] = Column(Integer)
    prepared_leaves: ColumnClause[datetime | None] = Column(UtcDateTime)
    prepared_at: ColumnClause[datetime | None] = Column(UtcDateTime)


class Letter(Base):
    """A confirmed note: frozen bytes, one envelope recipient. The partial unique index is the promise in the store.

    It allows one letter per thanks besides those that surely never left (failed, cancelled). `leaves_at` is the moment
    it was confirmed to leave at; `send_after` moves with every deferral. `copy` says how the copy to oneself stands:
    empty (none wanted), due, trying, left or failed. `writer` is whose thanks it gives (`Thanks.owner`); `owner` is the
    process that has it in hand. `seat` is the installation that tried it last (`Store.seat`): it is that one's login
    which a letter waits for. `intent` is what it was besides: thanks, give or ask (`states.INTENTS`).
    """

    __tablename__ = "letter"
    __table_args__ = (
        _only("letter_one", "thanks_id", "state NOT IN ('failed', 'cancelled')", unique=True),
        _only("letter_live", "send_after", "settled_at IS NULL"),
    )
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    thanks_id: ColumnClause[int] = Column(Integer, ForeignKey("thanks.id"), index=True, nullable=False)
    sender: ColumnClause[str] = Column(String, nullable=False)
    to: ColumnClause[str] = Column(String, nullable=False)
    subject: ColumnClause[str] = Column(String, nullable=False)
    raw: ColumnClause[bytes] = Column(LargeBinary, nullable=False)
    sha256: ColumnClause[str] = Column(String, nullable=False)
    message_id: ColumnClause[str] = Column(String, unique=True, nullable=False)
    state: ColumnClause[str] = Column(String, nullable=False)
    reason: ColumnClause[str] = Column(String, nullable=False)
    phase: ColumnClause[str] = Column(String, nullable=False)
    owner: ColumnClause[str] = Column(String, nullable=False)
    lease_until: ColumnClause[datetime | None] = Column(UtcDateTime)
    attempts: ColumnClause[int] = Column(Integer, nullable=False)
    confirmed_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    send_after: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    leaves_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    sent_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    settled_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    server_reply: ColumnClause[str] = Column(String, nullable=False)
    copy: ColumnClause[str] = Column(String, server_default=text("''"), nullable=False)
    writer: ColumnClause[str] = Column(String, server_default=text("''"), nullable=False)
    seat: ColumnClause[str] = Column(String, server_default=text("''"), nullable=False)
    intent: ColumnClause[str] = Column(String, server_default=text("'thanks'"), nullable=False)


class Attempt(Base):
    """One try at carrying a letter, and what it came to (null while it runs)."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("letter_id", "number"),)
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    letter_id: ColumnClause[int] = Column(Integer, ForeignKey("letter.id"), nullable=False)
    number: ColumnClause[int] = Column(Integer, nullable=False)
    started_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    ended_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    outcome: ColumnClause[str | None] = Column(String)
    reply: ColumnClause[str | None] = Column(String)


class Nudge(Base):
    """One reminder to the owner: due, attempted, shown (by the channel's own receipt), answered.

    `popup_id` and `server` name the popup on the desktop; `closed_at` and `withdrawn_at` say that it is gone, closed
    by the owner or lost with its server. `seat` is the installation on whose desktop it is, where several daemons share
    the ledger (`Store.seat`). `thanks_id` is null for one that is about no thanks: the weekly question, or a promise
    (`promise_id`).
    """

    __tablename__ = "nudge"
    __table_args__ = (
        _only("nudge_standing", "popup_id", "popup_id IS NOT NULL AND closed_at IS NULL AND withdrawn_at IS NULL"),
    )
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    thanks_id: ColumnClause[int | None] = Column(Integer, ForeignKey("thanks.id", ondelete="CASCADE"), index=True)
    occasion: ColumnClause[str] = Column(String, nullable=False)
    channel: ColumnClause[str] = Column(String, nullable=False)
    due_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    attempted_at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    shown_at: ColumnClause[datetime | None] = Column(UtcDateTime, index=True)
    popup_id: ColumnClause[int | None] = Column(_BIG)
    server: ColumnClause[str | None] = Column(String)
    closed_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    withdrawn_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    answered_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    answer: ColumnClause[str | None] = Column(String)
    error: ColumnClause[str | None] = Column(String)
    seat: ColumnClause[str] = Column(String, server_default=text("''"), nullable=False)
    promise_id: ColumnClause[int | None] = Column(Integer)


class Event(Base):
    """The journal: what happened, appended with each change and read only by `log`. Not the source of any state."""

    __tablename__ = "event"
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    thanks_id: ColumnClause[int | None] = Column(Integer, index=True)
    what: ColumnClause[str] = Column(String, nullable=False)
    data: ColumnClause[dict[str, Any]] = Column(JSON, nullable=False)


class BadAddress(Base):
    """An address that letters came back from. It stays known when the person gets another one."""

    __tablename__ = "bad_address"
    email_key: ColumnClause[str] = Column(String, primary_key=True)
    at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)
    why: ColumnClause[str] = Column(String, nullable=False)


class DoNotContact(Base):
    """The salted hash of the address of somebody who was forgotten: known when it is given again, and only then."""

    __tablename__ = "do_not_contact"
    hash: ColumnClause[str] = Column(String, primary_key=True)
    at: ColumnClause[datetime] = Column(UtcDateTime, nullable=False)


class Ledger(Base):
    """The ledger itself, in one row: who used it last, and what holds for all of it.

    `uid` is the same in all its copies. `machine`, `host` and `install` are the stamp of the machine and installation
    that used it last, at `used_at`; null until the first use.
    `serial` is the newest claim's ticket, which counts on and ends in chance: the installation keeps the newest it saw
    outside the store, so an older copy of this ledger is known for one. `salt` (hex) is that of the hashes by which
    forgotten people are known again.
    """

    __tablename__ = "ledger"
    id: ColumnClause[int] = Column(Integer, primary_key=True)
    uid: ColumnClause[str] = Column(String, nullable=False)
    machine: ColumnClause[str | None] = Column(String)
    host: ColumnClause[str | None] = Column(String)
    install: ColumnClause[str | None] = Column(String)
    used_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    serial: ColumnClause[int] = Column(_BIG, nullable=False)
    salt: ColumnClause[str] = Column(String, nullable=False)


class Member(Base):
    """What holds for all thanks of one owner (`Thanks.owner`): a pause, and when the weekly question was last asked."""

    __tablename__ = "member"
    owner: ColumnClause[str] = Column(String, primary_key=True)
    paused_at: ColumnClause[datetime | None] = Column(UtcDateTime)
    paused_until: ColumnClause[datetime | None] = Column(UtcDateTime)
    asked_at: ColumnClause[datetime | None] = Column(UtcDateTime)
