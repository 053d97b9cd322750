"""Everything in one file, and what another ledger makes of it: merged, checked, and nothing sent again."""

from __future__ import annotations

import copy
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_rigs import change, new_ledger, thanksd
from daemon_rigs import daemon, query
from store_rigs import Desk, everything

from thanksd.errors import ConfigError, DataError

Parcel = dict[str, Any]


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    return Desk(short_dir / "one")


@pytest.fixture
def other(short_dir: Path) -> Desk:
    return Desk(short_dir / "two")


def fill(desk: Desk) -> None:
    """Live a while: several people of one meeting, an edited draft, letters in every state."""
    desk.add("José Álvarez", email="jose@example.com", others=["王小明", "Ada Lovelace ada@example.com"], kind="event",
             place="Café Žižkov", details=["قصة الرحلة", "👩🏽‍🚀 and the moon"], promises=["the paper by friday", "a photo"],
             via="Grace Hopper grace@example.com")  # fmt: skip
    desk("draft", ref="2", subject="Děkuji", body="Milý příteli,\n\n  díky za vše.\n\n\tSam\n")
    desk.confirm(1)
    desk("dispatch")
    desk.queued("Bob Ray")
    desk.add("王小明", email="", kind="coffee")
    desk("waive", ref="5", reason="they are family")
    desk("snooze", ref=str(desk.add("Cy Young")), delay="2d")
    desk("done", ref=str(desk.add("Dan Poe")), how="by card")
    taken_back = desk.queued("Eve Fox")
    desk("undo", ref=str(taken_back))
    change(
        desk.file,
        "INSERT INTO bad_address VALUES ('old@example.com', '2026-03-01 09:00:00.000000', '550 no such user')",
    )


def exported(desk: Desk) -> Parcel:
    found: Parcel = json.loads(json.dumps(desk("export")))
    return found


def take(desk: Desk, parcel: Parcel) -> dict[str, Any]:
    return desk("take_in", parcel=json.loads(json.dumps(parcel)))


def meaning(parcel: Parcel) -> Any:
    """Give what an export says, without the numbers that mean nothing elsewhere and the moment it was made at."""
    people = {one["id"]: {**one, "id": 0, "created_at": 0} for one in parcel["people"]}
    meetings = {one["id"]: {**one, "id": 0} for one in parcel["meetings"]}
    who_met = {
        number: sorted(people[one["person_id"]]["name"] for one in parcel["thanks"] if one["meeting_id"] == number)
        for number in meetings
    }
    thanks = {
        one["uid"]: one
        | {"id": 0, "changed_at": 0, "person_id": people[one["person_id"]], "via_id": people.get(one["via_id"])}
        | {"meeting_id": (meetings[one["meeting_id"]], who_met[one["meeting_id"]])}
        for one in parcel["thanks"]
    }
    return thanks, sorted(one["name"] for one in people.values()), parcel["bad_addresses"]


def test_what_was_exported_and_imported_is_the_same_again_and_a_second_time_nothing_is_new(
    desk: Desk, other: Desk
) -> None:
    fill(desk)
    parcel = exported(desk)
    found = take(other, parcel)
    assert (found["new"], found["known"]) == (10, 0)
    wanted = copy.deepcopy(parcel)
    # The one letter that was to leave there is for a person to decide on here.
    (waiting,) = [one for one in wanted["thanks"] if one["letters"] and one["letters"][-1]["state"] == "queued"]
    waiting["letters"][-1] |= {"state": "held", "reason": "adopted"}
    waiting["popup_at"] = "2026-03-10T11:00:00Z"
    assert meaning(exported(other)) == meaning(wanted)
    assert [one["person"]["name"] for one in found["thanks"]] == ["Bob Ray"]
    before = exported(other)
    again = take(other, parcel)
    assert (again["new"], again["known"], again["thanks"], again["learned"]) == (0, 10, [], [])
    assert meaning(exported(other)) == meaning(before)
    # And back where it came from.
    assert take(desk, exported(other))["new"] == 0
    other.clock.forward(days=1)
    other("dispatch")
    assert (len(desk.saved()), len(other.saved())) == (1, 0)
    drafts = other.rows("SELECT subject, body, edited FROM draft WHERE subject = 'Děkuji'")
    assert drafts == [{"subject": "Děkuji", "body": "Milý příteli,\n\n  díky za vše.\n\n\tSam", "edited": 1}]
    bodies = [row["raw"] for row in other.rows("SELECT raw FROM letter WHERE state = 'sent'")]
    assert bodies == desk.saved()


def test_people_are_found_by_address_else_by_a_name_without_one_and_numbers_are_new(desk: Desk, other: Desk) -> None:
    desk.add("Ada Lovelace", email="ada@example.com")
    desk.add("Bob Ray", email="")
    desk.add("Cy Young", email="cy@example.com")
    desk.add("Dan Poe", email="")
    other.add("Countess Lovelace", email="ADA@example.com")
    other.add("BOB  RAY", email="")
    other.add("Cy Young", email="cy@example.org")
    other.add("Dan Poe", email="dan@example.com")
    take(other, exported(desk))
    people = other.rows("SELECT id, name, email FROM person ORDER BY id")
    assert [(one["name"], one["email"]) for one in people[4:]] == [("Cy Young", "cy@example.com"), ("Dan Poe", None)]
    assert [row["person_id"] for row in other.rows("SELECT person_id FROM thanks ORDER BY id")] == [
        1,
        2,
        3,
        4,
        1,
        2,
        5,
        6,
    ]


def test_two_people_of_one_name_stay_two_and_one_who_got_an_address_stays_one(desk: Desk, other: Desk) -> None:
    desk.add("Ada Lovelace", email="")
    desk.add("Ada Byron", email="")
    change(desk.file, "UPDATE person SET name = 'Ada Lovelace', name_key = 'ada lovelace'")
    take(other, exported(desk))
    assert len(other.rows("SELECT * FROM person")) == 2
    change(other.file, "UPDATE person SET email = 'ada@example.com', email_key = 'ada@example.com' WHERE id = 1")
    desk("add", who="Bob Ray", kind="coffee")
    assert take(other, exported(desk))["new"] == 1
    assert len(other.rows("SELECT * FROM person")) == 3


def test_what_is_known_stays_as_it_is_unless_it_is_thanked_there(desk: Desk, other: Desk) -> None:
    ada, bob, cy, dan = (desk.queued(name) for name in ("Ada Lovelace", "Bob Ray", "Cy Young", "Dan Poe"))
    for number in (bob, cy):
        desk("undo", ref=str(number))
    assert len(take(other, exported(desk))["thanks"]) == 2
    other("waive", ref=str(cy))
    change(other.file, "UPDATE thanks SET details = '[\"mine\"]'")
    desk("undo", ref=str(dan))
    desk(
        "draft",
        ref=str(dan),
        body="Dear Dan,\n\nThank you for telling me why you left Rust, in other words.\n\nSam Lee\n",
    )
    desk.confirm(dan)
    desk("dispatch")
    desk("done", ref=str(bob))
    desk("done", ref=str(cy))
    found = take(other, exported(desk))
    assert sorted(one["id"] for one in found["learned"]) == [ada, bob]
    assert {row["id"]: row["state"] for row in other.rows("SELECT id, state FROM thanks")} == {
        ada: "thanked", bob: "thanked", cy: "waived", dan: "confirmed",
    }  # fmt: skip
    # Dan got a letter of other words: the one here still waits for its owner's decision.
    assert [(other.letter(one)["state"], other.letter(one)["reason"]) for one in (ada, dan)] == [
        ("sent", ""),
        ("held", "adopted"),
    ]
    assert {row["details"] for row in other.rows("SELECT details FROM thanks")} == {'["mine"]'}
    assert other("adopt")["adopted"] is False
    other("dispatch")
    assert other.saved() == []


def test_a_file_is_private_new_and_read_from_a_pipe_and_the_daemon_sees_what_came(home: Path, desk: Desk) -> None:
    fill(desk)
    new_ledger()
    file = home / "all.json"
    done = thanksd("export", str(file), "--store", str(desk.file))
    assert (done.code, done.out) == (0, f"Exported 10 thanks: {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert thanksd("export", str(file), "--store", str(desk.file)).code == 1
    piped = thanksd("export", "-", "--store", str(desk.file))
    assert {**piped.json, "made_at": 0} == {**json.loads(file.read_text()), "made_at": 0}
    with daemon():
        found = thanksd("import", "-", "--json", stdin=piped.out.encode()).json
        assert (found["v"], found["imported"]) == (1, {"new": 10, "known": 0, "forgotten": 0, "left_out": 0})
        done = thanksd("import", str(file))
        assert (done.code, done.out) == (0, "New here: 0 thanks. Known already: 10.\n")
    assert query("SELECT count(*) FROM thanks") == [(10,)]
    assert thanksd("log", "1").out.endswith("came with an import\n")
    assert thanksd("import", str(home / "nothing.json")).code == 2
    for data in (b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"thanksd_export": true}'):
        done = thanksd("import", "-", stdin=data)
        assert (done.code, done.err.splitlines()[0]) == (65, "This is no export of thanksd. Nothing was stored.")


def test_an_export_of_a_newer_program_is_refused(desk: Desk, other: Desk) -> None:
    desk.add()
    before = everything(other.file)
    with pytest.raises(ConfigError, match="newer thanksd"):
        take(other, exported(desk) | {"thanksd_export": 2})
    assert everything(other.file) == before


def _set(path: str, value: object) -> Callable[[Parcel], None]:
    def spoil(parcel: Parcel) -> None:
        where: Any = parcel
        *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in way:
            where = where[step]
        where[last] = value

    return spoil


def _other_recipient(parcel: Parcel) -> None:
    # What would be sent is not what is said of it; the checksum is mended too.
    import hashlib  # noqa: PLC0415  here alone

    letter = parcel["thanks"][0]["letters"][0]
    letter["raw"] = letter["raw"].replace("ada@example.com>", "eve@example.com>", 1)
    letter["sha256"] = hashlib.sha256(letter["raw"].encode()).hexdigest()


def _twice(name: str) -> Callable[[Parcel], None]:
    return lambda parcel: parcel[name].append(copy.deepcopy(parcel[name][0]))


HOSTILE: list[tuple[Callable[[Parcel], None], str]] = [
    (_set("people", {}), "the file: people is no list"),
    (_set("people/0", None), "the file, people 1: it is no record"),
    (_set("people/0/id", True), "the file, people 1: id is no whole number"),
    (_set("people/0/id", 2**70), "the file, people 1: id is out of range"),
    (_set("people/0/name", "Eve\x1b[31m"), "person 1: name: The name has a character that can't be kept: U.001B"),
    (_set("people/0/name", "\ud800"), "person 1: name: The name has a character"),
    (_set("people/0/name", " "), "person 1: name is empty"),
    (_set("people/0/email", "a@b.com, c@d.com"), "person 1: email: This is not an address"),
    (_set("people/0/tz", "Mars/Olympus"), "person 1: tz: "),
    (_twice("people"), "the file: a number is there twice among the people"),
    (_set("meetings/0/kind", "heist"), "meeting 1: kind: "),
    (_set("meetings/0/at", "yesterday"), "meeting 1: at: "),
    (_set("meetings/0/at", "0001-01-01T00:00:00Z"), "meeting 1: at is too far away"),
    (_set("meetings/0/place", "x" * 201), "meeting 1: place: The place is too long"),
    (_set("thanks/0/uid", "../../x"), "thanks 1: uid is none"),
    (_set("thanks/0/person_id", 99), "thanks 1: its people or its meeting are not in the file"),
    (_set("thanks/0/state", "due"), "thanks 1: state is none of"),
    (_set("thanks/0/state", "owed"), "thanks 1: it is owed, and its letters say otherwise"),
    (_set("thanks/0/details", ["fine", 7]), "thanks 1: details is no text"),
    (_set("thanks/0/details", "fine"), "thanks 1: details is no list"),
    (_set("thanks/0/nudge_at", None), "thanks 1: nudge_at is no text"),
    (_set("thanks/0/draft", []), "thanks 1, draft: it is no record"),
    (_set("thanks/0/draft/body", "x" * 20_001), "thanks 1, draft: body: The letter is too long"),
    (_set("thanks/0/draft/body", "a\0b"), "thanks 1, draft: body: The letter has a character"),
    (_set("thanks/0/draft/edited", "yes"), "thanks 1, draft: edited is no true or false"),
    (_set("thanks/0/promises", [{"text": "x", "due": "soon"}]), "thanks 1, promises 1: due: "),
    (_set("thanks/0/letters/0/raw", "Subject: x"), "thanks 1, letters 1: its sha256 is not that of its bytes"),
    (_set("thanks/0/letters/0/raw", "é"), "thanks 1, letters 1: raw is no letter"),
    (_set("thanks/0/letters/0/to", "eve@example.com"), "thanks 1, letters 1: its To is not the one of its envelope"),
    (_set("thanks/0/letters/0/message_id", "<x@y>\r\nBcc: e@f.gh"), "thanks 1, letters 1: message_id: "),
    (_other_recipient, "thanks 1, letters 1: its To is not the one of its envelope"),
    (_twice("thanks"), "a number is there twice among the thanks"),
    (_set("bad_addresses", [{"email_key": "x"}]), "the file, bad_addresses 1: email_key: "),
]


@pytest.mark.parametrize(("spoil", "words"), HOSTILE, ids=[words[:40] for _, words in HOSTILE])
def test_a_record_that_is_wrong_is_named_and_nothing_is_stored(
    desk: Desk, other: Desk, spoil: Callable[[Parcel], None], words: str
) -> None:
    desk.queued()
    parcel = exported(desk)
    parcel["thanks"].append(
        {**copy.deepcopy(parcel["thanks"][0]), "id": 7, "uid": "0" * 32, "letters": [], "state": "owed"}
    )
    parcel["meetings"].append(parcel["meetings"][0] | {"id": 2})
    parcel["thanks"][1]["meeting_id"] = 2
    assert take(Desk(other.file.parent / "sound"), parcel)["new"] == 2
    before = everything(other.file)
    spoil(parcel)
    with pytest.raises(DataError, match=words) as refused:
        take(other, parcel)
    assert "Nothing was stored." in refused.value.message
    assert everything(other.file) == before


def test_two_letters_under_one_message_id_or_one_thanks_are_refused(desk: Desk, other: Desk) -> None:
    desk.queued()
    parcel = exported(desk)
    letter = parcel["thanks"][0]["letters"][0]
    failed = letter | {"state": "failed", "settled_at": letter["confirmed_at"]}
    for letters, words in (([letter, letter], "more than one letter"), ([failed, letter], "one letter is there twice")):
        parcel["thanks"][0]["letters"] = letters
        with pytest.raises(DataError, match=words):
            take(other, parcel)
    parcel["thanks"][0]["letters"] = [letter]
    take(other, parcel)
    parcel["thanks"][0] |= {"uid": "0" * 32}
    parcel["meetings"][0]["kind"] = "gift"
    with pytest.raises(DataError, match="another thanks' here"):
        take(other, parcel)


@pytest.mark.matrix
def test_ten_thousand_thanks_are_taken_in(desk: Desk, other: Desk) -> None:
    desk.queued()
    parcel = exported(desk)
    person, meeting, one = parcel["people"][0], parcel["meetings"][0], parcel["thanks"][0]
    one |= {"letters": [], "state": "owed", "draft": None}
    parcel["people"] = [person | {"id": n, "name": f"P{n} Q", "email": f"p{n}@example.com"} for n in range(10_000)]
    parcel["meetings"] = [meeting | {"id": n} for n in range(10_000)]
    parcel["thanks"] = [one | {"id": n, "uid": f"{n:032}", "person_id": n, "meeting_id": n} for n in range(10_000)]
    assert take(other, parcel)["new"] == 10_000
    assert take(other, parcel)["new"] == 0
    assert len(exported(other)["thanks"]) == 10_000
