"""The mapped nouns: who was met, what is owed, what was written and what happened. No queries here.

Times are UTC and aware; a zone's name stands beside a time where people will want its wall clock back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


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


class Base(DeclarativeBase):
    """Types that the columns below may name."""

    type_annotation_map = {datetime: UtcDateTime, list[str]: JSON, dict[str, Any]: JSON, bytes: LargeBinary}  # noqa: RUF012


def _only(name: str, column: str, condition: str, *, unique: bool = False) -> Index:
    """Give an index of the rows that meet a condition, which holds no bound parameter: stores use it only so."""
    # Migrations make it, on a server too; saying postgresql_where here would load that dialect at every start.
    return Index(name, column, unique=unique, sqlite_where=text(condition))


class Person(Base):
    """Somebody you met. `name_key` and `email_key` are folded (case, accents) for finding them again."""

    __tablename__ = "person"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  SQLAlchemy's form; a number is never reused
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(_SORTED, index=True)
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(unique=True)
    lang: Mapped[str | None]
    tz: Mapped[str | None]
    seniority: Mapped[str]
    created_at: Mapped[datetime]


class Meeting(Base):
    """An encounter. `day` is its local date in `tz`; source, uid and recurrence_id name an imported one."""

    __tablename__ = "meeting"
    __table_args__ = (UniqueConstraint("source", "uid", "recurrence_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    at: Mapped[datetime]
    tz: Mapped[str]
    day: Mapped[str]
    place: Mapped[str]
    about: Mapped[str]
    source: Mapped[str | None]
    uid: Mapped[str | None]
    recurrence_id: Mapped[str | None]


class Thanks(Base):
    """The duty owed to one person for one meeting. It is open while `closed_at` is null.

    `nudge_at` makes it due for every reader; `popup_at` is when the next popup may show, by cadence and quiet hours,
    and null where none is wanted. `outright` says that the user named the moment, so quiet hours don't move it.
    `undo_state` and `undo_nudge_at` hold what a snooze, waive or done can be taken back to. `practice` is the letter to
    oneself of the first day: it takes the whole way and is outside every count.

    `owner` is the folded address of the one who had the meeting and owes the thanks, in a ledger that several share;
    empty in a ledger of one's own.

    Person and meeting are null, together, where somebody was forgotten: the row is nobody's, stays for the counts
    alone, and its uid is the salted hash of the one it had.
    """

    __tablename__ = "thanks"
    __table_args__ = (
        UniqueConstraint("person_id", "meeting_id"),
        _only("thanks_open", "nudge_at", "closed_at IS NULL"),
        _only("thanks_popup", "popup_at", "popup_at IS NOT NULL"),
        {"sqlite_autoincrement": True},  # a number is never reused
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    meeting_id: Mapped[int | None] = mapped_column(ForeignKey("meeting.id"), index=True)
    via_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    state: Mapped[str]
    details: Mapped[list[str]]
    template: Mapped[str | None]
    nudge_at: Mapped[datetime]
    due_by: Mapped[datetime]
    popup_at: Mapped[datetime | None]
    outright: Mapped[bool]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime] = mapped_column(index=True)
    closed_at: Mapped[datetime | None]
    how: Mapped[str | None]
    reason: Mapped[str | None]
    undo_state: Mapped[str | None]
    undo_nudge_at: Mapped[datetime | None]
    practice: Mapped[bool] = mapped_column(server_default=false())
    owner: Mapped[str] = mapped_column(server_default=text("''"))


class Promise(Base):
    """Something you said you would do for them."""

    __tablename__ = "promise"
    id: Mapped[int] = mapped_column(primary_key=True)
    thanks_id: Mapped[int] = mapped_column(ForeignKey("thanks.id", ondelete="CASCADE"), index=True)
    text: Mapped[str]
    due: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class Draft(Base):
    """The note being written. `edited` means that a person's hand was on it: it is never rendered anew then.

    The `prepared_` columns are the exact bytes that were last shown for confirming, and what was shown with them:
    the envelope recipient and how the letter leaves (a hold in seconds, or a moment).
    """

    __tablename__ = "draft"
    thanks_id: Mapped[int] = mapped_column(ForeignKey("thanks.id", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str]
    body: Mapped[str]
    template: Mapped[str]
    edited: Mapped[bool]
    prepared_raw: Mapped[bytes | None]
    prepared_sha256: Mapped[str | None]
    prepared_message_id: Mapped[str | None]
    prepared_to: Mapped[str | None]
    prepared_hold: Mapped[int | None]
    prepared_leaves: Mapped[datetime | None]
    prepared_at: Mapped[datetime | None]


class Letter(Base):
    """A confirmed note: frozen bytes, one envelope recipient. The partial unique index is the promise in the store.

    It allows one letter per thanks besides those that surely never left (failed, cancelled). `leaves_at` is the moment
    it was confirmed to leave at; `send_after` moves with every deferral. `copy` says how the copy to oneself stands:
    empty (none wanted), due, trying, left or failed. `writer` is whose thanks it gives (`Thanks.owner`); `owner` is the
    process that has it in hand. `seat` is the installation that tried it last (`Store.seat`): it is that one's login
    which a letter waits for.
    """

    __tablename__ = "letter"
    __table_args__ = (
        _only("letter_one", "thanks_id", "state NOT IN ('failed', 'cancelled')", unique=True),
        _only("letter_live", "send_after", "settled_at IS NULL"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    thanks_id: Mapped[int] = mapped_column(ForeignKey("thanks.id"), index=True)
    sender: Mapped[str]
    to: Mapped[str]
    subject: Mapped[str]
    raw: Mapped[bytes]
    sha256: Mapped[str]
    message_id: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    reason: Mapped[str]
    phase: Mapped[str]
    owner: Mapped[str]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int]
    confirmed_at: Mapped[datetime]
    send_after: Mapped[datetime]
    leaves_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    server_reply: Mapped[str]
    copy: Mapped[str] = mapped_column(server_default=text("''"))
    writer: Mapped[str] = mapped_column(server_default=text("''"))
    seat: Mapped[str] = mapped_column(server_default=text("''"))


class Attempt(Base):
    """One try at carrying a letter, and what it came to (null while it runs)."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("letter_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"))
    number: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    reply: Mapped[str | None]


class Nudge(Base):
    """One reminder to the owner: due, attempted, shown (by the channel's own receipt), answered.

    `popup_id` and `server` name the popup on the desktop; `closed_at` and `withdrawn_at` say that it is gone, closed
    by the owner or lost with its server. `seat` is the installation on whose desktop it is, where several daemons share
    the ledger (`Store.seat`). `thanks_id` is null for one that is about no thanks: the weekly question.
    """

    __tablename__ = "nudge"
    __table_args__ = (
        _only("nudge_standing", "popup_id", "popup_id IS NOT NULL AND closed_at IS NULL AND withdrawn_at IS NULL"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    thanks_id: Mapped[int | None] = mapped_column(ForeignKey("thanks.id", ondelete="CASCADE"), index=True)
    occasion: Mapped[str]
    channel: Mapped[str]
    due_at: Mapped[datetime]
    attempted_at: Mapped[datetime]
    shown_at: Mapped[datetime | None] = mapped_column(index=True)
    popup_id: Mapped[int | None] = mapped_column(_BIG)
    server: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    answer: Mapped[str | None]
    error: Mapped[str | None]
    seat: Mapped[str] = mapped_column(server_default=text("''"))


class Event(Base):
    """The journal: what happened, appended with each change and read only by `log`. Not the source of any state."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    thanks_id: Mapped[int | None] = mapped_column(index=True)
    what: Mapped[str]
    data: Mapped[dict[str, Any]]


class BadAddress(Base):
    """An address that letters came back from. It stays known when the person gets another one."""

    __tablename__ = "bad_address"
    email_key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    why: Mapped[str]


class DoNotContact(Base):
    """The salted hash of the address of somebody who was forgotten: known when it is given again, and only then."""

    __tablename__ = "do_not_contact"
    hash: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class Ledger(Base):
    """The ledger itself, in one row: who used it last, and what holds for all of it.

    `uid` is the same in all its copies. `machine`, `host` and `install` are the stamp of the machine and installation
    that used it last, at `used_at`; null until the first use.
    `serial` is the newest claim's ticket, which counts on and ends in chance: the installation keeps the newest it saw
    outside the store, so an older copy of this ledger is known for one. `salt` (hex) is that of the hashes by which
    forgotten people are known again.
    """

    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str]
    machine: Mapped[str | None]
    host: Mapped[str | None]
    install: Mapped[str | None]
    used_at: Mapped[datetime | None]
    serial: Mapped[int] = mapped_column(_BIG)
    salt: Mapped[str]


class Member(Base):
    """What holds for all thanks of one owner (`Thanks.owner`): a pause, and when the weekly question was last asked."""

    __tablename__ = "member"
    owner: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
