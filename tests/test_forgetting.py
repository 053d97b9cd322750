"""Forgetting somebody: nothing of them stays in the ledger's file, the counts do, and nobody writes there by mistake."""

from __future__ import annotations

import base64
import json
import quopri
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pexpect
import program_rigs
import pytest
from cli_rigs import SCRIPT, new_ledger, thanksd
from daemon_rigs import daemon, settings, value
from store_rigs import Desk, everything, is_sound

from thanksd import paths
from thanksd.database import SqliteStore, open_store
from thanksd.errors import DataError, TryLaterError, UsageError
from thanksd.verbs import keeping

NAME, FIRST, EMAIL = "Zoë Ångström-Lovelace", "Zoë", "zoe.lovelace@example.com"
DETAIL = "warum der Küstennebel über Rustington so dicht war, und was das für die Schiffe hieß"
PROMISE = "die Babbage-Abhandlung"
REASON = "zog nach Tanger"


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir)


@pytest.fixture
def other(short_dir: Path) -> Desk:
    return Desk(short_dir / "other")


def forms(text: str) -> Iterator[bytes]:
    """How a text may stand in a ledger: as it is, in JSON, and in a letter as quoted-printable or base64."""
    data = text.encode()
    yield data
    yield json.dumps(text)[1:-1].encode()
    yield quopri.encodestring(data).rstrip(b"=\n")
    # Which four letters three bytes become depends on where they begin; the ends depend on their neighbours.
    for start in range(3):
        yield base64.b64encode(data[start : start + (len(data) - start) // 3 * 3])[4:-4]


def found_in(folder: Path, *texts: str) -> set[str]:
    """Give those of the texts of which any form stands in any file below a folder."""
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    # Line breaks of an encoding must not hide a text.
    flat = whole.replace(b"=\r\n", b"").replace(b"\r\n", b"")
    return {text for text in texts if any(form in whole or form in flat for form in forms(text) if len(form) > 3)}


def with_a_history(desk: Desk) -> int:
    """Let somebody have everything a person can have, among many others; give their thanks' number."""
    for number in range(30):
        desk.add(f"Nobody{number} N", details=[f"the {'long ' * 40}story {number}"])
    first = desk.add(NAME, email=EMAIL, details=[DETAIL], promises=[PROMISE], place="Ockham Park")
    desk.confirm(first)
    desk("dispatch")
    second = desk.add(NAME, email=EMAIL, kind="meal", details=[DETAIL], about="ihr Umzug nach Tanger")
    desk("draft", ref=str(second), body=f"Dear {FIRST},\n\n{DETAIL}.\n{NAME}\n\nSam")
    desk("prepare", ref=str(second))
    desk("waive", ref=str(second), reason=REASON)
    third = desk.add(NAME, email=EMAIL, kind="gift", details=[DETAIL] * 60)
    desk.clock.forward(days=2)
    desk("due_nudges", channel="desktop")
    desk("bounced", ref=str(first))
    desk("edit", ref=str(third), email="zoe@other.example.org")
    for number in range(30, 60):
        desk.add(f"Nobody{number} N", details=[f"the {'long ' * 40}story {number}"])
    return third


SECRETS = (NAME, "ngström-lovelace", "angstrom-lovelace", EMAIL, "zoe@other.example.org", DETAIL, PROMISE, REASON, "Ockham",
           "ihr Umzug nach Tanger")  # fmt: skip


def test_nothing_of_a_forgotten_person_stays_in_the_file_in_any_form(desk: Desk) -> None:
    with_a_history(desk)
    uids = [row["uid"] for row in desk.rows("SELECT uid FROM thanks JOIN person ON person_id = person.id"
                                            " WHERE name = ?", NAME)]  # fmt: skip
    ids = [row["message_id"] for row in desk.rows('SELECT message_id FROM letter WHERE "to" = ?', EMAIL)]
    secrets = {*SECRETS, *uids, *ids} - {"ngström-lovelace"}
    assert found_in(desk.file.parent, *secrets) == secrets
    found = desk("forget_person", who="zoe@other")
    assert (found["people"][0]["name"], found["thanks"]) == (NAME, 3)
    assert found_in(desk.file.parent, *SECRETS, *uids, *ids) == set()
    assert {path.name for path in desk.file.parent.iterdir()} <= {"thanksd.db", "thanksd.db.lock"}
    assert is_sound(desk.file)
    (salt,) = desk.rows("SELECT salt FROM ledger")
    hashes = desk.rows("SELECT hash FROM do_not_contact")
    assert (len(salt["salt"]), [len(row["hash"]) for row in hashes]) == (32, [32, 32])


def in_an_unused_part(file: Path, text: bytes) -> None:
    """Put a text where a page has room, as SQLite itself leaves it behind when it splits one.

    Measured with SQLite 3.40: rows that grew and were removed left words in 4 of 60 files, with secure_delete on.
    """
    data = bytearray(file.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    for page in range(size, len(data), size):
        # A leaf of a table (sqlite.org/fileformat2.html, 1.6): the room is between the cells' pointers and the cells.
        begin = page + 8 + 2 * int.from_bytes(data[page + 3 : page + 5], "big")
        end = page + int.from_bytes(data[page + 5 : page + 7], "big")
        if data[page] == 0x0D and end - begin > len(text):
            data[begin : begin + len(text)] = text
            file.write_bytes(data)
            return
    pytest.fail("no page has room")


def test_words_in_unused_parts_of_the_file_go_too(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    in_an_unused_part(desk.file, b"words that Zed said")
    assert is_sound(desk.file)
    desk("forget_person", who="zo")
    assert not found_in(desk.file.parent, "words that Zed said")
    assert is_sound(desk.file)


def test_the_counts_stay_and_nothing_else_of_theirs_can_be_reached(desk: Desk) -> None:
    thanked, owed = desk.add(NAME, email=EMAIL), desk.add("Bob Ray")
    desk.confirm(thanked)
    desk("dispatch")
    desk("done", ref=str(owed), how="by phone")
    counts = desk("summary")
    for who in ("Zo", "Bob"):
        desk("forget_person", who=who)
    assert desk("summary") == counts
    assert (counts["met"], counts["thanked"], counts["in_time"]) == (2, 2, 2)
    left = desk.rows("SELECT person_id, meeting_id, state, how, reason, details FROM thanks")
    assert [(row["person_id"], row["meeting_id"], row["details"]) for row in left] == [(None, None, "[]")] * 2
    assert [(row["state"], row["how"]) for row in left] == [("thanked", "letter"), ("thanked", "otherwise")]
    assert desk("owed", everything=True)["thanks"] == desk("people")["people"] == []
    for number in (thanked, owed):
        for verb in ("show", "undo", "waive", "log"):
            with pytest.raises(Exception, match=f"There is no thanks {number}"):
                desk(verb, ref=str(number))
    with pytest.raises(Exception, match="nothing to take back"):
        desk("undo")
    assert desk("export")["thanks"] == []


def test_what_was_open_is_closed_and_not_lost_from_the_counts(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk("forget_person", who="zo")
    (row,) = desk.rows("SELECT state, reason, closed_at, popup_at FROM thanks")
    assert (row["state"], row["reason"], row["popup_at"]) == ("waived", "forgotten", None)
    assert row["closed_at"] is not None
    assert (desk("summary")["met"], desk("summary")["thanked"]) == (1, 0)
    assert desk("next_moment")["popup"] is None


# --- letters under way ---


def test_a_letter_that_waits_is_taken_back_first_or_with_yes(desk: Desk) -> None:
    number = desk.queued()
    before = everything(desk.file)
    with pytest.raises(UsageError, match="confirmed and on its way") as error:
        desk("forget_person", who="Ada")
    assert error.value.hint == f"Take it back first: thanksd undo {number}"
    assert everything(desk.file) == before
    assert desk("forget_person", who="Ada", take_back=True)["taken_back"] == [number]
    desk("dispatch")
    assert (desk.saved(), desk.rows("SELECT id FROM letter")) == ([], [])


@pytest.mark.parametrize(("state", "words"), [("held", "may have left already"), ("sending", "leaving right now")])
def test_a_letter_that_may_have_left_is_settled_first_whatever_is_said(desk: Desk, state: str, words: str) -> None:
    desk.queued()
    with closing(sqlite3.connect(desk.file)) as connection, connection:
        lease = "2099-01-01 00:00:00.000000"
        connection.execute("UPDATE letter SET state = ?, owner = 'a b 1 1', lease_until = ?", (state, lease))
    before = everything(desk.file)
    with pytest.raises(UsageError, match=words):
        desk("forget_person", who="Ada", take_back=True)
    assert everything(desk.file) == before


# --- others ---


def test_whoever_was_there_too_keeps_the_meeting_and_an_introduction_loses_its_name(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL, place="Ockham", others=["Bob Ray bob@example.com"], details=["a detail"])
    cy = desk.add("Cy Young", via=NAME, kind="introduction", details=[f"{NAME} spoke well of you"])
    desk("prepare", ref=str(cy))
    found = desk("forget_person", who="zo")
    assert found["named_in"] == [cy]
    assert [row["place"] for row in desk.rows("SELECT place FROM meeting ORDER BY id")] == ["Ockham", ""]
    assert desk.rows("SELECT DISTINCT via_id FROM thanks") == [{"via_id": None}]
    desk("edit", ref=str(cy), details=["why you left Rust"])
    assert not found_in(desk.file.parent, NAME)


def test_a_popup_that_stands_is_taken_from_the_screen(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk.clock.forward(days=1)
    nudges = desk("due_nudges", channel="desktop")["nudges"]
    desk("nudges_shown", ids=nudges[0]["ids"], popup_id=7, server=":1.7")
    desk("forget_person", who="zo")
    assert desk("people")["people"] == []
    assert desk("answered_popups")["popups"] == [[7, ":1.7"]]
    assert desk("show_again")["popups"] == []


# --- the address afterwards ---


def test_an_address_of_somebody_forgotten_is_told_wherever_it_is_given(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk.add("Bob Ray")
    desk("forget_person", who="zo")
    told = f"{EMAIL.upper()} was forgotten here, to be left alone".lower()
    again = desk("add", who="Zed Y", email=EMAIL.upper())
    assert told in " ".join(again["notes"]).lower()
    desk("forget_person", who="zed")
    many = desk("add_many", lines=[{"line": 1, "name": "Zed Y", "email": EMAIL}, {"line": 2, "name": "Cy Young"}])
    assert [note.startswith(f"Line 1: {EMAIL} was forgotten") for note in many["notes"]] == [True]
    desk("forget_person", who="zed")
    assert told in " ".join(desk("edit", ref="bob", email=EMAIL)["notes"]).lower()
    assert told in " ".join(desk("edit_person", who="bob", email=EMAIL)["notes"]).lower()
    assert desk("edit_person", who="bob", tz="Europe/Berlin")["notes"] == []


def test_no_letter_goes_there_unless_said_otherwise(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk("forget_person", who="zo")
    number = desk.add(NAME, email=EMAIL)
    shown = desk("prepare", ref=str(number), at_once=True)["prepared"]
    assert [one["code"] for one in shown["findings"]][:1] == ["do-not-contact"]
    letters = [{"thanks": number, "sha256": shown["sha256"]}]
    with pytest.raises(DataError, match="do-not-contact") as error:
        desk("confirm", letters=letters, at_once=True)
    assert error.value.exit_code == 65
    assert "people edit WHO --allow" in error.value.message
    assert desk.rows("SELECT id FROM letter") == []
    desk("edit_person", who="zo", allow=True)
    shown = desk("prepare", ref=str(number), at_once=True)["prepared"]
    assert [one["code"] for one in shown["findings"] if one["severity"] == "block"] == []
    desk("confirm", letters=[{"thanks": number, "sha256": shown["sha256"]}], at_once=True)
    assert desk("add", who=NAME, email=EMAIL, kind="meal")["notes"] == []


def test_two_ledgers_have_hashes_of_their_own(desk: Desk, other: Desk) -> None:
    with closing(sqlite3.connect(other.file)) as connection, connection:
        connection.execute("UPDATE ledger SET salt = ?", ("ab" * 16,))
    for one in (desk, other):
        one.add(NAME, email=EMAIL)
        one("forget_person", who="zo")
    hashes = {row["hash"] for one in (desk, other) for row in one.rows("SELECT hash FROM do_not_contact")}
    assert len(hashes) == 2


# --- what comes back ---


def parcel(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(desk("export")))
    return found


def test_an_import_brings_nobody_back_with_an_address_or_without(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk("add", who="Dan Poe")
    cy = desk.add("Cy Young", via=NAME)
    before = parcel(desk)
    for who in ("zo", "dan", "cy"):
        desk("forget_person", who=who)
    # Met again: by their own will, so they stay; what was forgotten stays so.
    desk("edit_person", who=str(_added(desk, "Cy Young")), allow=True)
    found = desk("take_in", parcel=before)
    assert (found["new"], found["known"], found["forgotten"]) == (0, 0, 4)
    assert [one["name"] for one in desk("people")["people"]] == ["Cy Young"]
    assert not found_in(desk.file.parent, NAME, EMAIL)
    assert cy not in [one["id"] for one in desk("owed")["thanks"]]


def _added(desk: Desk, name: str) -> int:
    number: int = desk("add", who=name, email="cy@example.com")["thanks"][0]["person"]["id"]
    return number


def test_on_a_new_machine_the_addresses_to_be_left_alone_are_known_too(desk: Desk, other: Desk) -> None:
    desk.add(NAME, email=EMAIL)
    desk.add("Bob Ray")
    desk("forget_person", who="zo")
    with closing(sqlite3.connect(other.file)) as connection, connection:
        connection.execute("UPDATE ledger SET salt = ?", ("ab" * 16,))
    assert other("take_in", parcel=parcel(desk))["left_out"] == 0
    assert "left alone" in " ".join(other("add", who=NAME, email=EMAIL)["notes"])
    third = Desk(desk.file.parent.parent / "third")
    with closing(sqlite3.connect(third.file)) as connection, connection:
        connection.execute("UPDATE ledger SET salt = ?", ("cd" * 16,))
    third.add("Eve Fox")
    third("forget_person", who="eve")
    assert third("take_in", parcel=parcel(desk))["left_out"] == 1


def test_a_copy_that_is_put_back_forgets_again(desk: Desk) -> None:
    desk.add(NAME, email=EMAIL, details=[DETAIL])
    desk("add", who="Dan Poe")
    desk.add("Eve Fox")
    copy = desk.file.parent / "copy.db"
    keeping.backup(desk.context.store.url, copy)
    for who in ("zo", "dan", "eve"):
        desk("forget_person", who=who)
    found = keeping.restore(desk.context.store.url, copy, desk.clock())
    assert found["forgotten"] == 3
    assert desk("people")["people"] == []
    assert "left alone" in " ".join(desk("add", who="Somebody Else", email=EMAIL)["notes"])
    assert not {NAME, DETAIL} & found_in_file(desk.file, NAME, DETAIL)


def found_in_file(file: Path, *texts: str) -> set[str]:
    whole = file.read_bytes()
    return {text for text in texts if any(form in whole for form in forms(text))}


# --- the file and its copies ---


def test_copies_that_hold_them_are_named_and_only_our_own_go_when_told_to(home: Path) -> None:
    store = new_ledger()
    thanksd("add", "Zed", "Young", "zed@example.com")
    mine = Path(thanksd("backup", "--json").json["backup"]["path"])
    daily = mine.with_name("daily-2026-01-02-0123abcd.db")
    upgrade = store.with_name("thanksd.db.before-0002-17")
    for copy in (daily, upgrade):
        copy.write_bytes(mine.read_bytes())
    (mine.with_name("other.db")).write_bytes(b"of somebody else")
    done = thanksd("people", "forget", "zed", "--yes", "--json")
    assert set(done.json["copies"]) == {str(mine), str(daily), str(upgrade)}
    assert done.json["removed"] == []
    thanksd("restore", str(mine), "--yes")
    thanksd("add", "Zed", "Young", "zed@example.com")
    done = thanksd("people", "forget", "zed", "--yes", "--copies-too")
    assert f"These copies of the ledger still hold them; remove what you don't need:\n  {mine}\n" in done.err
    assert (mine.exists(), daily.exists(), upgrade.exists()) == (True, False, False)
    assert home.exists()


def test_while_another_program_writes_it_is_said_that_words_may_be_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add(NAME, email=EMAIL)
    monkeypatch.setattr("thanksd.database._BUSY_MS", 50)
    rewrite = SqliteStore.rewrite

    def locked(store: SqliteStore) -> None:
        with closing(sqlite3.connect(store.file)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            rewrite(store)

    monkeypatch.setattr(SqliteStore, "rewrite", locked)
    with pytest.raises(TryLaterError, match="They are forgotten, but") as error:
        desk("forget_person", who="zo")
    assert error.value.hint == "Write it anew: thanksd people forget --rewrite"
    assert desk("people")["people"] == []


def test_the_whole_way_beside_a_daemon_on_a_terminal() -> None:
    settings()
    thanksd("add", "Zed", "Young", "zed@example.com", "--after", "1h")
    with daemon():
        with program_rigs.InTerminal(
            str(SCRIPT), ["people", "forget", "zed"], timeout=20, encoding="utf-8"
        ) as terminal:
            terminal.expect("Type their name")
            terminal.sendline("zed")
            terminal.expect("Nobody was forgotten")
            terminal.expect(pexpect.EOF)
        assert terminal.exitstatus == 1
        with program_rigs.InTerminal(
            str(SCRIPT), ["people", "forget", "zed"], timeout=20, encoding="utf-8"
        ) as terminal:
            terminal.expect("Type their name")
            terminal.sendline("zed young")
            terminal.expect("Forgotten: Zed Young")
            terminal.expect(pexpect.EOF)
        assert terminal.exitstatus == 0
        assert value("SELECT count(*) FROM person") == 0
        done = thanksd("add", "Zed", "Young", "zed@example.com", "-d", "why you left Rust", "--after", "1h")
        assert "left alone" in done.err
        done = thanksd("send", "zed", "--yes")
        assert (done.code, "do-not-contact" in done.err) == (65, True)
        assert thanksd("people", "edit", "zed", "--allow").code == 0
        assert thanksd("send", "zed", "--yes").code == 0
        assert thanksd("people", "forget", "--rewrite").code == 0


# --- the schema ---


def test_a_ledger_of_before_keeps_everything_and_no_number_is_used_again(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = short_dir / "thanksd.db", paths.data_folder
    older = shutil.ignore_patterns("__pycache__", "0003*", "0004*", "0005*")
    shutil.copytree(real("migrations"), short_dir / "migrations", ignore=older)
    with monkeypatch.context() as patch:
        patch.setattr(paths, "data_folder", lambda name: short_dir / name if name == "migrations" else real(name))
        open_store(f"sqlite:///{file}").close()
    moment = "2026-01-01 00:00:00.000000"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO person VALUES (1, 'Ada', 'ada', NULL, NULL, NULL, NULL, 'peer', ?)", (moment,))
        for number in range(1, 6):
            connection.execute(
                "INSERT INTO meeting VALUES (?, 'meal', ?, 'UTC', '', '', '', '', NULL, NULL)", (number, moment)
            )
            connection.execute(
                "INSERT INTO thanks (id, uid, person_id, meeting_id, state, details, nudge_at, due_by, outright,"
                " created_at, changed_at) VALUES (?1, 'u' || ?1, 1, ?1, 'owed', '[]', ?2, ?2, 0, ?2, ?2)",
                (number, moment),
            )
            connection.execute("INSERT INTO promise VALUES (?1, ?1, 'it', NULL, NULL)", (number,))
        connection.execute("DELETE FROM promise WHERE thanks_id = 5")
        connection.execute("DELETE FROM thanks WHERE id = 5")
    before = everything(file)
    open_store(f"sqlite:///{file}").close()
    after = everything(file)
    # Later schemas have more columns, behind these.
    for name in ("person", "promise", "meeting", "thanks"):
        assert [row[: len(before[name][0])] for row in after[name]] == before[name], name
    assert is_sound(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO thanks (uid, state, details, nudge_at, due_by, outright, created_at, changed_at)"
            " SELECT 'new', state, details, nudge_at, due_by, outright, created_at, changed_at FROM thanks LIMIT 1"
        )
        assert connection.execute("SELECT max(id) FROM thanks").fetchone() == (6,)
        assert len(connection.execute("SELECT salt FROM ledger").fetchone()[0]) == 32
