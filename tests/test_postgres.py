"""A ledger that a team shares, on real servers: its schema, who is let in, and what is said where it can't be had."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cli_rigs import configure, thanksd
from postgres_rigs import Server
from shared_rigs import common_ledger, new_ledger, open_shared, rows
from sqlalchemy import create_engine, insert, make_url, select
from sqlalchemy.pool import NullPool
from store_rigs import NOON, Desk, Releases

from thanksd import guard, paths, postgres
from thanksd.database import open_store
from thanksd.errors import ConfigError, ThanksdError, TryLaterError, UsageError
from thanksd.models import Base, Event, Person
from thanksd.postgres import PostgresStore

ME = '[me]\nname = "Sam Lee"\nemail = "sam@example.org"\n'


@pytest.fixture
def ledger(postgres: Server) -> str:
    """The name of a ledger that nobody used, emptied for each test."""
    return common_ledger(postgres)


@pytest.fixture
def other_ledger(postgres: Server) -> str:
    """The name of one in a database of its own, whose schema the test may change."""
    return new_ledger(postgres)


@pytest.fixture
def store(ledger: str) -> Iterator[PostgresStore]:
    store = open_shared(ledger)
    yield store
    store.close()


# --- the schema ---


def test_the_migrated_schema_is_what_the_models_say_on_each_server(each_postgres: Server) -> None:
    url = each_postgres.new_database()
    # By an ordinary user, whose database it is.
    open_store(url).close()
    other = each_postgres.new_database()
    engine = create_engine(other, poolclass=NullPool)
    # The models name an index's condition for SQLite alone: naming a server's there loads its dialect at each start.
    for index in (index for table in Base.metadata.tables.values() for index in table.indexes):
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    Base.metadata.create_all(engine)
    assert schema(each_postgres, url) == schema(each_postgres, other)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
_CONSTRAINTS = """
SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid::regclass::text <> 'alembic_version'
"""
_INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def schema(server: Server, url: str) -> dict[str, set[Any]]:
    """Give columns with types and defaults, constraints, and indexes with their conditions; their order means nothing."""
    database = str(make_url(url).database)
    asked = {"columns": _COLUMNS, "constraints": _CONSTRAINTS, "indexes": _INDEXES}
    return {name: set(server.do(query, database=database)) for name, query in asked.items()}


def test_a_new_shared_ledger_has_its_one_row_and_no_member(postgres: Server, ledger: str) -> None:
    assert len(rows(postgres, ledger, "SELECT * FROM ledger")) == 1
    assert [row["owner"] for row in rows(postgres, ledger, "SELECT owner FROM member")] in ([], [""])


def test_a_newer_schema_is_refused_by_a_program_that_starts_and_by_one_that_runs(
    postgres: Server, other_ledger: str
) -> None:
    store = open_shared(other_ledger, keep_connections=False)
    rows(postgres, other_ledger, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer thanksd"):
        open_store(other_ledger)
    with pytest.raises(ConfigError, match="newer thanksd"), store.read():
        pass


def test_an_upgrade_waits_for_no_daemon_but_says_that_they_have_it(
    postgres: Server, other_ledger: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = open_shared(other_ledger, keep_connections=False).listen()
    releases = Releases(short_dir / "migrations", monkeypatch)
    releases.change(1, "op.add_column('person', sa.Column('shoe', sa.String()))")
    with pytest.raises(TryLaterError, match="daemons of the version before"):
        open_store(other_ledger)
    line.close()
    open_store(other_ledger).close()
    assert rows(postgres, other_ledger, "SELECT shoe FROM person") == []


# --- what comes back as it was ---


def test_a_time_comes_back_as_the_same_moment_in_utc(store: PostgresStore) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=2))).replace(microsecond=123456)
    with store.write() as connection:
        connection.execute(insert(Event).values(at=there, what="added", data={"moment": "nøw \x00"}))
    with store.read() as connection:
        back = connection.execute(select(Event.at, Event.data)).one()
    assert (back.at, back.at.utcoffset(), back.data) == (there, timedelta(0), {"moment": "nøw \x00"})


@pytest.mark.parametrize("text", ["a\x00b", "a" * 300 + "\x00"])
def test_text_that_no_server_can_hold_is_refused_in_words(store: PostgresStore, text: str) -> None:
    with pytest.raises(UsageError, match="can't hold that"), store.write() as connection:
        connection.execute(insert(Event).values(at=NOON, what=text, data={}))


def test_a_database_of_a_language_finds_and_sorts_names_as_a_file_does(each_postgres: Server) -> None:
    name = "icu" + str(each_postgres.port)
    try:
        each_postgres.do(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
        )
    except psycopg.Error as error:
        pytest.skip(f"this build knows no languages: {error}")
    desk = shared_desk(each_postgres.url(name, "postgres"))
    for who in ("Ada Lovelace", "Adabel", "Ada-Marie Roe"):
        desk.add(who, email=f"{len(who)}@example.com")
    assert "Ada Lovelace" in desk("add", who="Ada")["notes"][0]
    assert [one["name"] for one in desk("people")["people"]] == ["Ada", "Ada Lovelace", "Ada-Marie Roe", "Adabel"]


def shared_desk(url: str) -> Desk:
    """Give Sam's desk at a shared ledger."""
    desk = Desk(Path(paths.state_folder()) / "desk")
    desk.set(store=open_shared(url, keep_connections=False))
    return desk


# --- verbs that ask each store in its own way ---


@pytest.fixture(params=["a file", "a server"])
def desk(request: pytest.FixtureRequest, short_dir: Path, postgres: Server) -> Iterator[Desk]:
    desk = Desk(short_dir) if request.param == "a file" else shared_desk(common_ledger(postgres))
    yield desk
    desk.context.store.close()


@pytest.mark.parametrize("ref", [str(2**31), str(2**63), "9" * 5000])
def test_a_number_that_no_store_has_names_nothing(desk: Desk, ref: str) -> None:
    desk.add()
    for verb, word in (("show", "ref"), ("person", "who"), ("forget_person", "who"), ("undo", "ref")):
        with pytest.raises(ThanksdError) as caught:
            desk(verb, **{word: ref})
        assert caught.value.exit_code == 1


def test_who_is_forgotten_is_looked_for_in_others_notes_whatever_the_case(desk: Desk) -> None:
    desk.add("Zoë Ray", email="zoe@example.com")
    named = desk.add("Bob Ray", details=["that ZOë RAY sends her love"], place="with zoë ray", promises=["a card"])
    assert desk("forget_person", who="zoe@example.com")["named_in"] == [named]


def test_the_newest_that_was_closed_is_meant_where_a_name_has_nothing_open(desk: Desk) -> None:
    first, second = desk.add(), desk.add(again=True)
    for number in (second, first):
        desk("done", ref=str(number))
        desk.clock.forward(hours=1)
    assert desk("show", ref="ada")["thanks"][0]["id"] == first
    assert desk("show", ref="ADA")["thanks"][0]["id"] == first


def test_a_name_may_be_as_long_and_as_strange_as_it_is_allowed(desk: Desk) -> None:
    name = "Ünï %_\\ 名 " * 20
    found = desk("add", who=name.strip(), kind="coffee")["thanks"][0]
    assert desk("show", ref="%_\\")["thanks"][0]["id"] == found["id"]
    assert desk("people")["people"][0]["name"] == name.strip()


def test_states_that_no_rule_allows_are_set_right(desk: Desk) -> None:
    number = desk.queued()
    with desk.context.store.write() as connection:
        connection.exec_driver_sql("UPDATE thanks SET state = 'owed', closed_at = created_at")
        connection.exec_driver_sql("UPDATE letter SET state = 'sending'")
    assert desk("set_right")["thanks"] == [number]
    (letter,) = desk("outbox")["letters"]
    assert (letter["state"], desk("owed")["thanks"][0]["state"]) == ("held", "confirmed")


# --- the store's name ---


@pytest.mark.parametrize(
    "name",
    [
        "postgresql://sam:secret@host/db",
        "postgres://sam:@host/db",
        "postgresql+psycopg://sam:se/cret@host/db",
        "postgresql://host/db?password=secret",
        "postgresql://host/db?user=sam&pass%77ord=secret",
    ],
)
def test_a_password_has_no_place_in_the_stores_name(name: str) -> None:
    with pytest.raises(ConfigError, match="password has no place"):
        paths.store_url(name)


@pytest.mark.parametrize("name", ["postgres://sam@host/db", "postgresql://host:5432/db?sslmode=require", "postgres://"])
def test_any_usual_name_of_a_server_is_taken_with_the_driver_that_is_ours(name: str) -> None:
    assert paths.store_url(name) == "postgresql+psycopg://" + name.partition("://")[2]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("/shared", "/nosuch"), 78, "There is no such database"),
        (("team@", "nobody@"), 77, 'role "nobody" does not exist'),
        (("port=", "port=1&x="), 78, 'invalid connection option "x"'),
        (("host=", "host=/nosuch"), 75, "did not answer"),
        (("team@", "sam:secret@"), 78, "password has no place"),
        (("@/", "@host:x/"), 78, "name can't be used"),
        (("port=", "sslmode=bogus&port="), 78, "invalid sslmode value"),
    ],
)
def test_a_ledger_that_can_not_be_had_is_an_exit_code_and_words(
    ledger: str, change: tuple[str, str], code: int, words: str
) -> None:
    configure(ME)
    done = thanksd("owed", "--store", ledger.replace(*change))
    assert (done.code, words in done.err, "Traceback" in done.err) == (code, True, False), done
    assert "secret" not in done.err


def test_whoever_may_not_read_is_refused_and_nothing_is_made(postgres: Server, ledger: str) -> None:
    if not postgres.do("SELECT 1 FROM pg_roles WHERE rolname = 'outsider'"):
        postgres.do("CREATE ROLE outsider LOGIN")
    configure(ME)
    for url in (ledger, postgres.new_database()):
        done = thanksd("owed", "--store", url.replace("team@", "outsider@"))
        assert (done.code, "permission denied" in done.err) == (77, True), done


def test_a_shared_ledger_asks_first_who_its_user_is(ledger: str) -> None:
    done = thanksd("owed", "--store", ledger)
    assert (done.code, "your own address is not set" in done.err) == (78, True), done


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(postgres, "create_engine", missing)
    with pytest.raises(ConfigError, match="driver for that is not installed") as caught:
        PostgresStore("postgresql+psycopg://sam@host/db")
    assert "EXTRAS=postgres" in caught.value.hint


def test_a_server_that_takes_the_call_and_never_speaks_is_given_up_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://sam@127.0.0.1:{silent.getsockname()[1]}/db"
        began = time.monotonic()
        with pytest.raises(TryLaterError, match="did not answer"):
            open_store(url)
        assert 3 < time.monotonic() - began < 12


def test_a_copy_of_the_database_beside_it_is_not_this_ledger_until_it_is_adopted(
    postgres: Server, other_ledger: str
) -> None:
    with open_shared(other_ledger, keep_connections=False).write():
        pass
    name = f"{make_url(other_ledger).database}copy"
    postgres.do(f"CREATE DATABASE {name} TEMPLATE {make_url(other_ledger).database} OWNER team")
    copy = open_shared(postgres.url(name, "team"), keep_connections=False)
    with pytest.raises(ConfigError, match="was last used"), copy.write():
        pass
    with copy.read() as connection:
        assert guard.is_elsewhere(guard.row_of(connection), copy.here)


def test_a_connection_that_was_kept_is_made_anew_after_the_server_was_restarted(each_postgres: Server) -> None:
    store = open_shared(new_ledger(each_postgres))
    with store.read() as connection:
        assert connection.scalar(select(Person.id)) is None
    each_postgres.stop()
    with pytest.raises(TryLaterError, match="did not answer"), store.write():
        pass
    each_postgres.start()
    with store.write() as connection:
        connection.execute(insert(Event).values(at=NOON, what="added", data={}))
    with store.read() as connection:
        assert connection.scalar(select(Event.what)) == "added"
    store.close()


_DIES = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$
"""
_AS_IT_COMMITS = """
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()
"""


def test_a_commit_whose_answer_did_not_come_may_be_stored_or_not(postgres: Server, other_ledger: str) -> None:
    store = open_shared(other_ledger, keep_connections=False)
    with store.write() as connection:
        connection.exec_driver_sql(_DIES)
        connection.exec_driver_sql(_AS_IT_COMMITS)
    with pytest.raises(TryLaterError, match="may be stored or not"), store.write() as connection:
        connection.execute(insert(Event).values(at=NOON, what="added", data={}))
    assert rows(postgres, other_ledger, "SELECT * FROM event") == []
