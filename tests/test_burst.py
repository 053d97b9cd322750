"""Many letters in one run: claimed in batches, over one connection, one durable commit each, and every promise kept."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Received
from smtp_rigs import DROP, USER, Mailbox, Scripted, mail_server
from store_rigs import Desk, rows, smtp

from thanksd import config, outbox, states
from thanksd.config import Smtp, Transport
from thanksd.credentials import CredentialsError
from thanksd.database import open_store
from thanksd.errors import ConfigError
from thanksd.outbox import Result
from thanksd.verbs import carrying

NAMES = ("Ada Ray", "Bob Ray", "Cy Ray", "Dan Ray", "Eve Ray", "Flo Ray")


def letters(desk: Desk) -> list[tuple[str, int]]:
    """Give state and attempts of each letter."""
    return [(row["state"], row["attempts"]) for row in desk.rows("SELECT state, attempts FROM letter ORDER BY id")]


def with_login(port: int, **more: Any) -> Transport:
    given = Smtp(host="127.0.0.1", port=port, security="none", auth="password", username=USER, **more)
    return Transport(kind="smtp", smtp=given)


@pytest.fixture
def desk(short_dir: Path) -> Desk:
    """Six letters that may leave."""
    desk = Desk(short_dir)
    for name in NAMES:
        desk.queued(name)
    return desk


def aim(desk: Desk, transport: Transport) -> None:
    desk.set(config=replace(desk.context.config, transport=transport))


# --- one connection ---


def test_a_run_of_letters_takes_one_connection_one_login_and_one_look_at_the_password(desk: Desk) -> None:
    read: list[str] = []

    def secret() -> str:
        read.append("pw")
        return "pw"

    with mail_server() as box:
        box.login = (USER, "pw")
        aim(desk, with_login(box.port))
        desk.set(secret=secret)
        assert desk("dispatch") == {"letters": 6}
    assert (len(box.letters), read) == (6, ["pw"])
    assert [box.seen.count(word) for word in (b"ehlo", b"AUTH", b"QUIT", b"RSET")] == [1, 1, 1, 0]
    assert letters(desk) == [("sent", 1)] * 6


def test_a_password_that_can_not_be_read_is_asked_for_once_in_a_run(desk: Desk) -> None:
    asked: list[bool] = []

    def locked() -> str:
        asked.append(True)
        raise CredentialsError("The keyring is locked.", "Unlock it.", "locked")

    with Scripted({}) as server:
        aim(desk, with_login(server.port))
        desk.set(secret=locked)
        assert desk("dispatch") == {"letters": 6}
    assert (asked, server.verbs) == ([True], [])
    assert {row["reason"] for row in desk.rows("SELECT reason FROM letter")} == {"password"}


@pytest.mark.parametrize("worn", [DROP, "421 4.7.0 too many", "452 4.5.3 too many letters", "554 5.5.1 no more here"])
def test_a_connection_that_takes_no_more_letters_is_followed_by_a_new_one(desk: Desk, worn: str) -> None:
    with Scripted({"MAIL 3": worn}, then=[{}]) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert letters(desk) == [("sent", 1)] * 6
    assert Counter(server.verbs)["EHLO"] == 2
    assert Counter(server.verbs)["."] == 6


def test_a_refusal_on_a_new_connection_is_one_of_the_letter(desk: Desk) -> None:
    with Scripted({"MAIL 3": "421 4.7.0 too many"}, then=[{"MAIL 1": "550 5.7.1 not from you"}, {}]) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert [state for state, _ in letters(desk)] == ["sent", "sent", "failed", "sent", "sent", "sent"]
    assert Counter(server.verbs)["EHLO"] == 3


@pytest.mark.parametrize("verb", ["RCPT 2", "DATA 2", ". 2"])
def test_a_letter_that_is_refused_is_followed_by_rset_and_the_next_one_on_the_same_connection(
    desk: Desk, verb: str
) -> None:
    with Scripted({verb: "550 5.7.1 no"}) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert [state for state, _ in letters(desk)] == ["sent", "failed", "sent", "sent", "sent", "sent"]
    assert (Counter(server.verbs)["EHLO"], Counter(server.verbs)["RSET"]) == (1, 1)
    assert server.verbs[server.verbs.index("RSET") + 1] == "MAIL"


@pytest.mark.parametrize("doubt", [DROP, "421 4.3.2 closing", "what?"])
def test_after_any_doubt_the_letter_is_held_and_the_connection_dropped(desk: Desk, doubt: str) -> None:
    with Scripted({". 2": doubt}, then=[{}]) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert [state for state, _ in letters(desk)] == ["sent", "held", "sent", "sent", "sent", "sent"]
    assert Counter(server.verbs)["EHLO"] == 2


def test_a_server_that_lets_us_is_told_sender_and_recipient_in_one_breath(desk: Desk) -> None:
    offer: dict[str, str | bytes] = {
        "EHLO": "250-test\r\n250 PIPELINING",
        "RCPT 2": "550 5.1.1 nobody",
        "MAIL 4": "550 5.7.1 no",
    }
    with Scripted(offer, then=[{}]) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert [state for state, _ in letters(desk)] == ["sent", "failed", "sent", "sent", "sent", "sent"]
    assert Counter(server.verbs)["."] == 5


def test_a_server_that_says_more_than_it_was_asked_gets_no_other_letter_on_that_connection(desk: Desk) -> None:
    with Scripted({". 2": "250 taken\r\n250 and more"}, then=[{}]) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert letters(desk) == [("sent", 1)] * 6
    assert Counter(server.verbs)["EHLO"] == 2


def test_more_connections_share_the_letters_and_send_each_once(desk: Desk) -> None:
    with mail_server(login=False) as box:
        aim(desk, Transport(kind="smtp", smtp=replace(smtp(box.port).smtp, connections=3)))
        assert desk("dispatch") == {"letters": 6}
    assert Counter(letter.content for letter in box.letters) == Counter(
        row["raw"] for row in desk.rows("SELECT raw FROM letter")
    )
    assert letters(desk) == [("sent", 1)] * 6
    assert 1 <= box.seen.count(b"ehlo") <= 3


def test_a_wrong_password_is_tried_once_over_however_many_connections(desk: Desk) -> None:
    with mail_server() as box:
        aim(desk, with_login(box.port, connections=3))
        desk.set(secret=lambda: "wrong")
        assert desk("dispatch") == {"letters": 1}
    assert box.seen.count(b"AUTH") == 1


@pytest.mark.parametrize("number", [0, 11, -1])
def test_no_other_number_of_connections_is_taken(number: int) -> None:
    with pytest.raises(ConfigError, match="connections"):
        config.parse(f"[transport.smtp]\nconnections = {number}\n")


# --- batches ---


def test_a_program_that_is_to_end_gives_the_rest_of_its_batch_back_at_once(desk: Desk) -> None:
    seen: list[int] = []

    def stopping() -> bool:
        seen.append(desk.rows("SELECT count(*) AS n FROM letter WHERE state = 'sending'")[0]["n"])
        return len(desk.saved()) >= 3

    desk.set(stopping=stopping)
    before = desk.rows("SELECT * FROM letter WHERE id > 3 ORDER BY id")
    assert desk("dispatch") == {"letters": 3}
    assert max(seen) > 1
    assert desk.rows("SELECT * FROM letter WHERE id > 3 ORDER BY id") == before
    assert desk.rows("SELECT letter_id FROM attempt WHERE ended_at IS NOT NULL") == [
        {"letter_id": n} for n in (1, 2, 3)
    ]
    assert desk.rows("SELECT count(*) AS n FROM attempt") == [{"n": 3}]
    desk.set(stopping=bool)
    desk("dispatch")
    assert letters(desk) == [("sent", 1)] * 6


def test_a_login_refused_in_mid_batch_leaves_the_rest_as_it_was(desk: Desk) -> None:
    first: dict[str, str | bytes] = {"EHLO": "250-test\r\n250 AUTH PLAIN", "AUTH": "235 ok", "MAIL 3": DROP}
    with Scripted(first, then=[{**first, "AUTH": "535 5.7.8 wrong"}]) as server:
        aim(desk, with_login(server.port))
        desk.set(secret=lambda: "pw")
        before = desk.rows("SELECT * FROM letter WHERE id > 3 ORDER BY id")
        assert desk("dispatch") == {"letters": 3}
    assert letters(desk)[:3] == [("sent", 1), ("sent", 1), ("deferred", 1)]
    assert desk.letter(3)["reason"] == states.CREDENTIALS
    assert desk.rows("SELECT * FROM letter WHERE id > 3 ORDER BY id") == before
    assert Counter(server.verbs)["AUTH"] == 2


def test_a_batch_that_takes_long_is_given_back_so_that_it_can_be_taken_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_LONGEST", 0.0)
    assert desk("dispatch") == {"letters": 6}
    assert (letters(desk), len(desk.saved())) == ([("sent", 1)] * 6, 6)


def claim(desk: Desk, most: int = 6) -> list[outbox.Claim]:
    with desk.context.store.write() as connection:
        return outbox.claim(connection, desk.clock(), "machine boot 10 100", most=most)


def give_back(desk: Desk, claims: list[outbox.Claim]) -> int:
    with desk.context.store.write() as connection:
        return outbox.give_back(connection, claims)


def test_a_batch_is_the_letters_that_may_leave_first_and_no_more_than_asked_for(desk: Desk) -> None:
    assert [held.letter for held in claim(desk, 4)] == [1, 2, 3, 4]
    assert [held.letter for held in claim(desk, 4)] == [5, 6]
    assert claim(desk, 4) == []


def test_what_is_given_back_waits_as_before_and_its_number_is_free(desk: Desk) -> None:
    (first,) = claim(desk, 1)
    with desk.context.store.write() as connection:
        outbox.settle(connection, desk.clock(), first, Result(states.NOT_NOW, "451 busy", 451, "busy"))
    desk.clock.forward(hours=1)
    before = desk.rows("SELECT * FROM letter ORDER BY id")
    claims = claim(desk)
    assert [held.number for held in claims] == [1, 1, 1, 1, 1, 2]
    assert give_back(desk, claims) == 6
    assert desk.rows("SELECT * FROM letter ORDER BY id") == before
    assert desk.rows("SELECT letter_id, number FROM attempt") == [{"letter_id": 1, "number": 1}]
    assert [held.number for held in claim(desk)] == [1, 1, 1, 1, 1, 2]


def test_a_claim_that_was_lost_or_is_at_its_dot_is_not_given_back(desk: Desk) -> None:
    one, two, three, *_ = claim(desk)
    with desk.context.store.write() as connection:
        assert outbox.mark_dot(connection, desk.clock(), one)
    assert give_back(desk, [one, two._replace(number=2), three]) == 1
    assert [state for state, _ in letters(desk)] == ["sending", "sending", "queued", "sending", "sending", "sending"]
    assert desk.rows("SELECT count(*) AS n FROM attempt") == [{"n": 5}]


# --- what shares a commit ---


def commits(file: Path) -> int:
    """Give how often the store was committed: its file change counter (sqlite.org/fileformat.html)."""
    return int.from_bytes(file.read_bytes()[24:28], "big")


def test_a_letter_is_settled_by_the_commit_of_the_next_one_s_dot_and_the_last_one_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    counted: list[int] = []

    async def taken(_box: Mailbox, _server: SMTP, _session: Session, _letter: Received) -> str:
        found = desk.rows("SELECT state, phase FROM letter ORDER BY id")
        seen.append([row["phase"] if row["state"] == "sending" else row["state"] for row in found])
        counted.append(commits(desk.file))
        return "250 ok"

    monkeypatch.setattr(Mailbox, "handle_DATA", taken)
    with mail_server(login=False) as box:
        aim(desk, smtp(box.port))
        desk("dispatch")
    assert [line[: number + 1] for number, line in enumerate(seen)] == [["sent"] * n + ["dot"] for n in range(6)]
    assert min(after - before for before, after in pairwise(counted)) == 1
    assert letters(desk) == [("sent", 1)] * 6


def test_a_letter_that_was_sent_does_not_wait_for_a_slow_next_one_to_be_settled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, told = threading.Event(), []

    def settled() -> int:
        return int(desk.rows("SELECT count(*) AS n FROM letter WHERE state = 'sent'")[0]["n"])

    real = Scripted._say

    def say(server: Scripted, client: Any, verb: str) -> bool:
        if verb == "MAIL" and server.verbs.count("MAIL") == 3:
            deadline = time.monotonic() + 10
            while settled() < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            told.append(settled())
            go_on.set()
        return real(server, client, verb)

    monkeypatch.setattr(Scripted, "_say", say)
    with Scripted({}) as server:
        aim(desk, smtp(server.port))
        desk("dispatch")
    assert (told, letters(desk)) == ([2], [("sent", 1)] * 6)


# --- copies ---


def test_a_copy_made_in_mid_run_is_an_older_copy_when_the_run_is_over(desk: Desk, short_dir: Path) -> None:
    copy = short_dir / "copy" / "t.db"
    copy.parent.mkdir(mode=0o700)

    def stopping() -> bool:
        if len(desk.saved()) == 2:
            shutil.copyfile(desk.file, copy)
        return False

    desk.set(stopping=stopping)
    desk("dispatch")
    assert len(desk.saved()) == 6
    assert rows(copy, "SELECT state FROM letter WHERE state = 'sending' AND phase = 'pre'") != []
    store = open_store(f"sqlite:///{copy}")
    with pytest.raises(ConfigError, match="older copy"):
        store.check_ours()
    store.close()
