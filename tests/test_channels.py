"""Which channel a nudge takes: the owner's order, ten minutes for each, round the list while nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from daemon_rigs import Ledger

from thanksd import config
from thanksd.channels import PERHAPS, REFUSED_LOGIN

ALL = ("desktop", "push", "mail")


def new(folder: Path, *channels: str, **nudge: Any) -> Ledger:
    nudge = {"quiet_hours": "", "channels": channels or (*ALL, "terminal")} | nudge
    return Ledger(folder / "t.db", **nudge)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger with every channel, in the usual order. It is Wednesday 12 March 2025, 10:00 in Berlin."""
    return new(tmp_path)


def due(ledger: Ledger, *can: str, **said: Any) -> list[dict[str, Any]]:
    """Claim what is due, where these channels can be tried; all of them if none is named."""
    found: list[dict[str, Any]] = ledger.call("due_nudges", channel=list(can or ALL), **said)["nudges"]
    return found


def shows(ledger: Ledger, *can: str, popup_id: int = 1) -> list[str]:
    """Show what is due, and give the channels it took."""
    found = due(ledger, *can)
    for nudge in found:
        popup = {"popup_id": popup_id, "server": ":1.1"} if nudge["channel"] == "desktop" else {}
        ledger.call("nudges_shown", ids=nudge["ids"], **popup)
    return [nudge["channel"] for nudge in found]


def fails(ledger: Ledger, *can: str) -> list[str]:
    """Try what is due in vain, and give the channels it took."""
    found = due(ledger, *can)
    for nudge in found:
        ledger.call("nudges_failed", ids=nudge["ids"], error=f"No {nudge['channel']}.")
    return [nudge["channel"] for nudge in found]


def rows(ledger: Ledger, columns: str) -> list[tuple[Any, ...]]:
    with ledger.store.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM nudge ORDER BY id")]  # noqa: S608  columns


def coffee(ledger: Ledger, *names: str) -> None:
    for name in names or ("Ada Lovelace",):
        ledger.add(name)
    ledger.later(seconds=2)


def next_popup(ledger: Ledger) -> None:
    ledger.now = ledger.popup_at(1)


def test_unanswered_it_goes_round_the_list_by_the_cadence(ledger: Ledger) -> None:
    coffee(ledger)
    seen = []
    for _ in range(5):
        seen += [(f"{ledger.now:%a %H}", channel) for channel in shows(ledger)]
        next_popup(ledger)
    assert seen == [
        ("Wed 09", "desktop"),
        ("Wed 13", "push"),
        ("Thu 08", "mail"),
        ("Fri 08", "desktop"),
        ("Sat 08", "push"),
    ]
    assert [channel for channel, _ in rows(ledger, "channel, shown_at")] == [
        "desktop",
        "push",
        "mail",
        "desktop",
        "push",
    ]


@pytest.mark.parametrize("order", [("push", "desktop"), ("terminal", "mail", "push"), ("push", "push", "desktop")])
def test_the_order_is_the_owners(tmp_path: Path, order: tuple[str, ...]) -> None:
    ledger = new(tmp_path, *order)
    coffee(ledger)
    seen = shows(ledger)
    next_popup(ledger)
    assert [*seen, *shows(ledger)] == [one for one in dict.fromkeys(order) if one != "terminal"]


def test_what_its_channel_could_not_show_for_ten_minutes_goes_to_the_next_that_works(ledger: Ledger) -> None:
    coffee(ledger)
    assert fails(ledger) == ["desktop"]
    ledger.later(minutes=9, seconds=50)
    assert due(ledger, "push", "mail") == []
    # It is due all the while, and no row was written for it.
    assert (ledger.popup_at(1) < ledger.now, len(rows(ledger, "id"))) == (True, 1)
    ledger.later(seconds=10)
    assert shows(ledger, "mail") == ["mail"]
    assert rows(ledger, "channel, error, shown_at IS NOT NULL") == [("mail", "No desktop.", 1)]


def test_a_channel_that_is_not_tried_for_ten_minutes_is_passed_by_without_a_failure(ledger: Ledger) -> None:
    coffee(ledger)
    ledger.later(minutes=10)
    assert fails(ledger, "push", "mail") == ["push"]
    assert shows(ledger, "mail") == ["mail"]


def test_its_own_channel_comes_first_however_long_nobody_looked(ledger: Ledger) -> None:
    """A machine that slept over a moment has not tried anything yet."""
    coffee(ledger)
    ledger.later(hours=9)
    assert shows(ledger) == ["desktop"]


def test_a_crash_between_claim_and_receipt_neither_loses_nor_doubles_it(ledger: Ledger) -> None:
    coffee(ledger)
    lost = due(ledger)
    ledger.later(seconds=61)
    (again,) = due(ledger)
    assert (again["ids"], again["channel"]) == (lost[0]["ids"], "desktop")
    ledger.later(minutes=9)
    assert [one["ids"] for one in due(ledger, "push")] == [lost[0]["ids"]]
    assert len(rows(ledger, "id")) == 1


def test_one_asker_only_gets_a_nudge_that_climbs(ledger: Ledger) -> None:
    coffee(ledger, "Ada Lovelace", "Chen Wei")
    ledger.later(minutes=5)
    ledger.add("Tom Jones", after="1s")
    ledger.later(minutes=6)
    # Tom's waits for the desktop still.
    assert [one["thanks"] for one in due(ledger, "push")] == [[1], [2]]
    assert due(ledger, "push") == []
    assert ledger.popup_at(3) < ledger.now


def test_a_popup_that_stands_stays_and_what_was_lost_with_its_server_comes_there_again(ledger: Ledger) -> None:
    coffee(ledger)
    shows(ledger)
    next_popup(ledger)
    assert shows(ledger) == ["push"]
    assert ledger.call("answered_popups") == {"popups": []}
    ledger.later(seconds=1)
    assert ledger.call("show_again")["popups"] == [[1, ":1.1"]]
    ledger.later(seconds=1)
    assert shows(ledger, popup_id=2) == ["desktop"]


def test_an_answer_begins_the_list_anew(ledger: Ledger) -> None:
    coffee(ledger)
    shows(ledger)
    ledger.call("snooze", ref="1", delay="1h")
    ledger.later(hours=1)
    assert shows(ledger) == ["desktop"]


_LETTER = """\
INSERT INTO letter (thanks_id, sender, "to", subject, raw, sha256, message_id, state, reason, phase, owner, attempts,
confirmed_at, send_after, leaves_at, server_reply, copy, writer, seat)
SELECT 1, 's', 'a', 's', x'', '', 'm', '{state}', '{reason}', 'pre', '', 1, popup_at, popup_at, popup_at, '', '', '',
'{seat}' FROM thanks WHERE id = 1"""


def test_a_letter_that_needs_a_person_climbs_too(ledger: Ledger) -> None:
    coffee(ledger)
    shows(ledger)
    with ledger.store.write() as connection:
        connection.exec_driver_sql("UPDATE thanks SET state = 'confirmed' WHERE id = 1")
        connection.exec_driver_sql(_LETTER.format(state="held", reason="unknown", seat=""))
    seen = []
    for _ in range(3):
        next_popup(ledger)
        seen += [(nudge["occasion"], nudge["channel"]) for nudge in due(ledger)]
        ledger.call("nudges_shown", ids=[rows(ledger, "max(id)")[0][0]])
    assert seen == [("held", "desktop"), ("held", "push"), ("held", "mail")]


def test_a_digest_goes_where_its_most_pressing_thanks_goes(ledger: Ledger) -> None:
    coffee(ledger)
    shows(ledger)
    for name in ("Chen Wei", "Tom Jones"):
        ledger.add(name, after="4h")
    next_popup(ledger)
    ledger.later(seconds=2)
    (digest,) = due(ledger)
    assert (digest["thanks"], digest["channel"]) == ([1, 2, 3], "push")
    ledger.call("nudges_shown", ids=digest["ids"])
    ledger.now = max(ledger.popup_at(number) for number in (1, 2, 3))
    assert shows(ledger) == ["mail"]


def _by_the_table(ledger: Ledger, *names: str) -> None:
    for name in names:
        ledger.add(name, after="")
    ledger.later(hours=3, seconds=1)


def test_three_a_day_are_three_on_all_channels_together(ledger: Ledger) -> None:
    seen = []
    for name, can in (("Ada", "desktop"), ("Chen", "push"), ("Tom", "mail"), ("Eve", "push")):
        _by_the_table(ledger, name)
        ledger.later(minutes=11)
        seen.append(shows(ledger, can))
    assert seen == [["desktop"], ["push"], ["mail"], []]
    assert f"{ledger.popup_at(4):%a %H:%M}" == "Thu 08:00"


def test_lines_on_a_terminal_come_at_once_and_change_nothing_of_the_round(ledger: Ledger) -> None:
    coffee(ledger)
    fails(ledger)
    for seen in ("desktop", "push"):
        (line,) = ledger.due("terminal")
        assert line["channel"] == "terminal"
        ledger.call("nudges_shown", ids=line["ids"])
        next_popup(ledger)
        assert shows(ledger) == [seen]
        next_popup(ledger)


def test_quiet_hours_weekends_and_a_pause_hold_for_every_channel(tmp_path: Path) -> None:
    ledger = new(tmp_path, quiet_hours="21:00-08:30", weekdays_only=True)
    ledger.now = datetime(2025, 3, 14, 16, 50, tzinfo=UTC)
    ledger.add("Ada Lovelace", after="")
    ledger.now = datetime(2025, 3, 14, 19, 55, tzinfo=UTC)
    assert fails(ledger) == ["desktop"]
    # Ten minutes later it is past nine, on a Friday.
    ledger.later(minutes=11)
    assert due(ledger, "push", "mail") == []
    assert f"{ledger.popup_at(1):%a %H:%M}" == "Mon 07:30"
    ledger.call("pause", until="1w")
    ledger.now = datetime(2025, 3, 19, 12, tzinfo=UTC)
    assert due(ledger) == []
    ledger.call("resume")
    assert shows(ledger, "push", "mail") == ["push"]


def test_the_weekly_question_and_promises_find_the_next_channel_too(tmp_path: Path) -> None:
    ledger = new(tmp_path, ask="wed 11:00")
    ledger.call("next_moment")
    ledger.add("Ada Lovelace", after="5d", promises=["the paper by fri"])
    ledger.now = datetime(2025, 3, 12, 10, 9, tzinfo=UTC)
    assert due(ledger, "push") == []
    ledger.now = datetime(2025, 3, 13, 12, tzinfo=UTC)
    ledger.call("next_moment")
    assert sorted(one["occasion"] for one in due(ledger, "desktop")) == ["ask", "promise"]
    for (number,) in rows(ledger, "id"):
        ledger.call("nudges_failed", ids=[number], error="No desktop.")
    ledger.later(minutes=11)
    assert sorted((one["occasion"], one["channel"]) for one in due(ledger, "push")) == [
        ("ask", "push"),
        ("promise", "push"),
    ]
    assert len(rows(ledger, "id")) == 2


def test_a_login_that_letters_wait_for_is_not_tried_by_nudges(tmp_path: Path) -> None:
    ledger = new(tmp_path, "mail", "push")
    coffee(ledger)
    with ledger.store.write() as connection:
        connection.exec_driver_sql(_LETTER.format(state="deferred", reason="credentials", seat=ledger.store.seat))
    ledger.add("Chen Wei")
    ledger.later(minutes=11)
    assert {nudge["channel"] for nudge in due(ledger)} == {"push"}
    assert due(ledger, "mail") == []


def test_a_login_that_refused_a_nudge_is_left_alone_for_hours_whoever_asks(tmp_path: Path) -> None:
    ledger = new(tmp_path, "mail")
    coffee(ledger)
    (nudge,) = due(ledger)
    ledger.call("nudges_failed", ids=nudge["ids"], error=f"{REFUSED_LOGIN}: 535 5.7.8 no")
    ledger.later(hours=5, minutes=59)
    assert ledger.call("due_nudges", channel=["mail"]) == {"nudges": [], "closed": ["mail"]}
    # Its line is given all the same, and the owner who mends it need not wait.
    ledger.call("release")
    assert [one["ids"] for one in due(ledger)] == [nudge["ids"]]


@pytest.mark.parametrize(
    ("transport", "me", "channel"),
    [
        (config.Transport(kind="mailto"), config.Me(email="sam@example.org"), []),
        (config.Transport(kind="eml"), config.Me(email="sam@example.org"), []),
        (config.Transport(kind="smtp"), config.Me(), []),
        (config.Transport(kind="smtp"), config.Me(email="sam@example.org"), ["mail"]),
    ],
)
def test_mail_is_a_channel_only_where_it_leaves_by_itself(
    tmp_path: Path, transport: config.Transport, me: config.Me, channel: list[str]
) -> None:
    ledger = new(tmp_path, "mail")
    ledger._config = config.Config(me=me, transport=transport, nudge=ledger._config.nudge)
    coffee(ledger)
    assert shows(ledger) == channel


def test_the_next_channel_says_once_which_one_was_sick_and_since_when(ledger: Ledger) -> None:
    coffee(ledger, "Ada Lovelace", "Chen Wei")
    ledger.later(minutes=11)
    sick = {"desktop": "2025-03-12T09:00:02Z"}
    (waiting, _) = due(ledger, "desktop", sick=sick)
    assert waiting["popup"]["note"] == ""
    ledger.later(minutes=2)
    first, second = due(ledger, "push", sick=sick)
    assert (first["popup"]["note"], second["popup"]["note"]) == ("Desktop not reached since 10:00.", "")
    ledger.later(days=1)
    sick = {"push": "2025-03-12T09:00:02Z", "mail": "2025-03-12T12:00:00Z"}
    both = due(ledger, "desktop", sick=sick)
    assert [(one["popup"]["note"], one["tells"]) for one in both] == [
        ("Push not reached since Wed 10:00.", "push"),
        ("Mail not reached since Wed 13:00.", "mail"),
    ]


def refuses(ledger: Ledger, *can: str, error: str = f"{REFUSED_LOGIN}: 535 5.7.8 no") -> list[str]:
    """Try what is due where mails meet this error, and the others another one; give the channels it took."""
    found = due(ledger, *can)
    for nudge in found:
        words = error if nudge["channel"] == "mail" else f"No {nudge['channel']}."
        ledger.call("nudges_failed", ids=nudge["ids"], channel=nudge["channel"], error=words)
    return [nudge["channel"] for nudge in found]


def tries(ledger: Ledger, minutes: int, *can: str, error: str = f"{REFUSED_LOGIN}: 535 5.7.8 no") -> list[str]:
    """Let programs that know nothing of each other try what is due every 10 minutes, and give the channels it took."""
    seen = []
    for _ in range(minutes // 10):
        seen += refuses(ledger, *can, error=error)
        ledger.later(minutes=10)
    return seen


def test_no_other_channels_failure_makes_a_refused_login_forgotten(tmp_path: Path) -> None:
    ledger = new(tmp_path, "mail", "push", ask="wed 11:00")
    ledger.call("next_moment")
    ledger.add("Ada Lovelace", after="1h", promises=["the paper by fri"])
    ledger.now = datetime(2025, 3, 13, 16, tzinfo=UTC)
    assert fails(ledger, "push") == ["push"] * 3
    seen = tries(ledger, 60, "mail", "push")
    assert (seen.count("mail"), "push" in seen) == (3, True)
    ledger.later(hours=4, minutes=50)
    assert "mail" not in refuses(ledger)
    ledger.later(minutes=15)
    assert refuses(ledger)[0] == "mail"
    # The nudge that climbed is due since its own moment all the while, and no row came with each of its tries.
    assert len(rows(ledger, "id")) < 12


@pytest.mark.parametrize("how", ["mail", "letter", "release"])
def test_mail_that_is_known_to_leave_again_is_open_again(tmp_path: Path, how: str) -> None:
    ledger = new(tmp_path, "mail")
    coffee(ledger, "Ada Lovelace", "Chen Wei")
    first, second = due(ledger)
    ledger.call("nudges_failed", ids=first["ids"], error=f"{REFUSED_LOGIN}: 535 5.7.8 no")
    assert due(ledger) == []
    if how == "mail":
        ledger.call("nudges_shown", ids=second["ids"])
    elif how == "release":
        ledger.call("release")
    else:
        _send_a_letter(ledger, tmp_path)
    ledger.later(seconds=61)
    assert first["ids"] in [one["ids"] for one in due(ledger)]


def _send_a_letter(ledger: Ledger, folder: Path) -> None:
    maildir = config.Transport(kind="maildir", maildir=config.Maildir(path=str(folder / "mail")))
    ledger._config = config.Config(me=ledger._config.me, transport=maildir, nudge=ledger._config.nudge)
    with ledger.store.write() as connection:
        connection.exec_driver_sql("UPDATE thanks SET state = 'confirmed' WHERE id = 2")
        letter = (
            _LETTER.format(state="queued", reason="", seat="")
            .replace("SELECT 1", "SELECT 2")
            .replace("WHERE id = 1", "WHERE id = 2")
        )
        connection.exec_driver_sql(letter.replace("'s', 'a'", "'sam@example.org', 'ada@example.com'"))
    ledger.later(seconds=61)
    ledger.call("dispatch")
    assert ledger.state(2) == "thanked"


def test_a_mail_that_may_have_come_is_not_mailed_again_for_hours_and_counts_as_one_of_the_day(tmp_path: Path) -> None:
    ledger = new(tmp_path, "mail", "push")
    _by_the_table(ledger, "Ada")
    assert refuses(ledger, error=f"{PERHAPS}: no answer") == ["mail"]
    assert "mail" not in tries(ledger, 20, "mail", "push", error="")
    assert shows(ledger) == ["push"]
    assert [channel for channel, _ in rows(ledger, "channel, id")] == ["mail", "push"]
    # It was one of three, whether it came or not.
    for name, seen in (("Chen", ["push"]), ("Tom", [])):
        ledger.add(name, after="1s")
        with ledger.store.write() as connection:
            connection.exec_driver_sql("UPDATE thanks SET outright = 0")
        ledger.later(minutes=11)
        assert shows(ledger) == seen
    ledger.later(hours=4)
    assert ledger.call("due_nudges", channel="mail")["closed"] == []


def test_a_late_failure_takes_nothing_back_that_was_shown_or_taken_meanwhile(tmp_path: Path) -> None:
    ledger = new(tmp_path, "mail", "desktop", "terminal")
    coffee(ledger)
    (mailed,) = due(ledger, "mail")
    ledger.later(minutes=11)
    (popup,) = due(ledger, "desktop")
    assert popup["ids"] == mailed["ids"]
    ledger.call("nudges_failed", ids=mailed["ids"], channel="mail", error="Too late.")
    assert ledger.popup_at(1) > ledger.now
    ledger.call("nudges_shown", ids=popup["ids"], popup_id=1, server=":1.1")
    planned = ledger.popup_at(1)
    ledger.call("nudges_failed", ids=mailed["ids"], error="Later still.")
    assert (ledger.popup_at(1), planned > ledger.now) == (planned, True)


def test_what_is_under_way_has_its_place_among_the_days_three(tmp_path: Path) -> None:
    ledger = new(tmp_path, "desktop", "push")
    coming = []
    for names, channel in ((("Ada", "Ben"), "push"), (("Chen", "Tom"), "desktop")):
        for name in names:
            ledger.add(name, after="1s")
        with ledger.store.write() as connection:
            connection.exec_driver_sql("UPDATE thanks SET outright = 0")
        ledger.later(minutes=11 if channel == "push" else 0, seconds=2)
        coming.append(due(ledger, channel))
    assert [len(found) for found in coming] == [2, 1]
    # The receipts of what was under way say whether there is room: asked again in a minute, not tomorrow.
    for nudge in coming[0]:
        ledger.call("nudges_failed", ids=nudge["ids"], channel="push", error="No phone.")
    ledger.call("nudges_shown", ids=coming[1][0]["ids"], popup_id=1, server=":1.1")
    ledger.later(minutes=1)
    assert len(due(ledger, "desktop")) == 1


def test_a_nudge_that_was_not_even_tried_keeps_the_error_that_it_has(ledger: Ledger) -> None:
    coffee(ledger, "Ada Lovelace", "Chen Wei")
    first, second = due(ledger)
    ledger.call("nudges_failed", ids=first["ids"], error="No desktop.")
    for nudge in (first, second):
        ledger.call("nudges_failed", ids=nudge["ids"], error="It waited.", tried=False)
    assert rows(ledger, "error") == [("No desktop.",), ("It waited.",)]
