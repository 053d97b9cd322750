"""Pause and resume: no popups, best-by moves along, letters go; with a clock of ours, then by the real program."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import desktop_rigs
import pexpect
import program_rigs
import pytest
from cli_rigs import change, configure, new_ledger, store_file, thanksd
from daemon_rigs import DEADLINE, SCRIPT, Ledger, add, client, confirm, daemon, query, settings, value, wait_for

from thanksd.errors import UsageError
from thanksd.moments import from_iso

NOW = datetime(2025, 3, 12, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger; no quiet hours. It is Wednesday 12 March 2025, 10:00 in Berlin."""
    return Ledger(tmp_path / "t.db", quiet_hours="")


def _due_by(ledger: Ledger, thanks: int) -> datetime:
    return from_iso(ledger.call("show", ref=str(thanks))["thanks"][0]["due_by"])


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ("2w", "2025-03-26T09:00:00Z"),
        ("mon 31 mar", "2025-03-31T07:00:00Z"),
        ("2025-03-31", "2025-03-31T07:00:00Z"),
        ("tomorrow 18:00", "2025-03-13T17:00:00Z"),
    ],
)
def test_a_pause_ends_when_it_was_said_to(ledger: Ledger, words: str, until: str) -> None:
    found = ledger.call("pause", until=words)
    assert found["pause"] == {"since": "2025-03-12T09:00:00Z", "until": until, "letters": 0}
    assert ledger.call("pause")["pause"] == found["pause"]


@pytest.mark.parametrize("words", ["yesterday", "2025-03-01", "0s", "now", "soon", "3y"])
def test_an_end_that_is_not_to_come_is_refused_and_pauses_nothing(ledger: Ledger, words: str) -> None:
    with pytest.raises(UsageError):
        ledger.call("pause", until=words)
    assert ledger.call("pause")["pause"]["until"] is None


def test_nothing_pops_up_in_a_pause_on_no_channel_and_the_state_is_due_all_the_same(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.call("pause", until="1d")
    ledger.later(seconds=2)
    ledger.add("Chen Wei", after="1h")
    ledger.call("snooze", ref="2", delay="1m")
    ledger.later(hours=2)
    assert (ledger.due(), ledger.due("terminal")) == ([], [])
    assert [ledger.state(1), ledger.state(2)] == ["due", "due"]
    assert ledger.call("next_moment") == {
        "popup": "2025-03-13T09:00:00Z",
        "letter": None,
        "paused": True,
        "mistake": "",
    }
    ledger.now = NOW + DAY
    assert ledger.call("next_moment")["paused"] is False
    (digest,) = ledger.call("due_nudges", channel="desktop", together=True)["nudges"]
    assert (digest["thanks"], digest["popup"]["title"]) == ([1, 2], "2 people to thank")


def test_a_popup_that_was_lost_in_a_pause_waits_for_its_end(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    ledger.later(seconds=2)
    ledger.show(1)
    ledger.call("pause", until="1d")
    ledger.call("show_again")
    assert ledger.due() == []


def test_letters_that_need_a_person_wait_too_and_those_that_leave_are_counted(ledger: Ledger) -> None:
    for name in ("Ada Lovelace ada@example.com", "Chen Wei chen@example.com"):
        ledger.add(name)
    for number in (1, 2):
        sha256 = ledger.call("prepare", ref=str(number))["prepared"]["sha256"]
        ledger.call("confirm", letters=[{"thanks": number, "sha256": sha256}])
    with ledger.store.write() as connection:
        connection.exec_driver_sql("UPDATE letter SET state = 'held', reason = 'unknown' WHERE thanks_id = 1")
        connection.exec_driver_sql("UPDATE thanks SET popup_at = '2025-03-12 09:00:00.000000' WHERE id = 1")
    assert ledger.call("pause", until="1d")["pause"]["letters"] == 1
    ledger.later(hours=1)
    assert ledger.due() == []
    assert ledger.call("next_moment")["letter"] is not None


def test_best_by_moves_along_for_what_is_open_and_not_late(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace", when="2025-03-12 08:00")
    ledger.add("Chen Wei", when="2025-03-01 12:00")
    ledger.add("Tom Jones", when="today 14:00")
    ledger.add("Grace Hopper", when="2025-04-20 12:00")
    before = [_due_by(ledger, number) for number in (1, 2, 3, 4)]
    ledger.call("done", ref="1")
    ledger.call("undo", ref="1")
    ledger.call("pause", until="2w")
    # By all of it; not at all, as it was late; from the meeting on; not at all, as the meeting comes after it.
    moved = [14 * DAY, 0 * DAY, 14 * DAY - timedelta(hours=4), 0 * DAY]
    expected = [moment + span for moment, span in zip(before, moved, strict=True)]
    assert [_due_by(ledger, number) for number in (1, 2, 3, 4)] == expected
    # Early back: by what is left.
    ledger.now = NOW + 10 * DAY
    found = ledger.call("resume")
    assert (found["was_paused"], found["pause"]["until"]) == (True, None)
    expected = [expected[0] - 4 * DAY, before[1], expected[2] - 4 * DAY, before[3]]
    assert [_due_by(ledger, number) for number in (1, 2, 3, 4)] == expected
    assert ledger.call("resume")["was_paused"] is False
    assert [_due_by(ledger, number) for number in (1, 2, 3, 4)] == expected


@pytest.mark.parametrize("end", ["2025-03-20 10:00", "2025-04-10 10:00"])
def test_a_pause_over_a_pause_counts_as_if_it_had_been_said_first(tmp_path: Path, end: str) -> None:
    found = []
    for number, said in enumerate((["2025-03-31 10:00", end], [end])):
        ledger = Ledger(tmp_path / f"{number}.db", quiet_hours="")
        ledger.add("Ada Lovelace")
        ledger.add("Chen Wei", when="2025-03-01 12:00")
        ledger.add("Tom Jones", when="2025-03-25 14:00")
        for hours, words in enumerate(said):
            ledger.later(hours=hours)
            found_pause = ledger.call("pause", until=words)["pause"]
        found.append([found_pause, *(_due_by(ledger, one) for one in (1, 2, 3))])
    assert found[0] == found[1]


def test_what_was_closed_when_the_pause_began_and_is_taken_back_keeps_its_best_by(ledger: Ledger) -> None:
    ledger.add("Ada Lovelace")
    before = _due_by(ledger, 1)
    ledger.call("waive", ref="1")
    ledger.call("pause", until="2w")
    ledger.call("undo", ref="1")
    ledger.call("resume")
    assert _due_by(ledger, 1) == before


def test_what_is_noted_in_a_pause_has_its_rest_on_top_and_loses_it_again(ledger: Ledger) -> None:
    ledger.call("pause", until="10d")
    ledger.now = NOW + 2 * DAY
    number = ledger.add("Ada Lovelace")
    late = ledger.add("Chen Wei", when="2025-03-01 12:00")
    many = ledger.call("add_many", lines=[{"line": 1, "name": "Tom Jones", "kind": "coffee"}])["thanks"][0]["id"]
    assert _due_by(ledger, number) == _due_by(ledger, many) == ledger.now + 9 * DAY
    assert _due_by(ledger, late) == datetime(2025, 3, 2, 11, tzinfo=UTC)
    ledger.call("edit", ref=str(number), kind="speaker")
    assert _due_by(ledger, number) == ledger.now + 10 * DAY
    ledger.call("resume")
    assert _due_by(ledger, many) == ledger.now + DAY
    assert _due_by(ledger, number) == ledger.now + 2 * DAY


def test_the_log_tells_of_both(ledger: Ledger) -> None:
    ledger.call("pause", until="10d")
    ledger.call("resume")
    assert [(one["what"], one["data"]) for one in ledger.call("log")["events"]] == [
        ("paused", {"until": "2025-03-22T09:00:00Z"}),
        ("resumed", {}),
    ]


# --- the program ---


def _in_terminal(*words: str) -> str:
    """Run a command in a terminal and give what it printed."""
    child = program_rigs.InTerminal(SCRIPT, list(words), dimensions=(24, 80), encoding="utf-8", timeout=DEADLINE)
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before)


def test_the_commands_say_how_it_stands_in_words_and_in_json() -> None:
    settings(undo="10m")
    new_ledger()
    assert thanksd("pause").out == "Nothing is paused. For a holiday: thanksd pause 2w\n"
    assert thanksd("resume").out == "Nothing was paused.\n"
    assert thanksd("--json", "pause").json == {"v": 1, "pause": {"since": None, "until": None, "letters": 0}}
    confirm(add())
    add("Chen Wei", after="0s")
    said = thanksd("pause", "tomorrow", "18:00")
    first, second, third = said.out.splitlines()
    assert first.startswith("Paused until ")
    assert first.endswith(" 18:00")
    assert second == "1 letter still leaves at its time."
    assert third.endswith("Back early: thanksd resume")
    assert thanksd("pause").out == said.out
    until = thanksd("pause", "--json").json["pause"]["until"]
    assert from_iso(until) > datetime.now(UTC)
    refused = thanksd("pause", "yesterday")
    assert (refused.code, refused.out) == (2, "")
    # Nothing pops up, and no line takes its place.
    lines = _in_terminal("owed").splitlines()
    # Broken at a space: it is longer than the window.
    assert lines[:3] == [
        "Nobody will remind you: the daemon is not running. Start it:",
        "thanksd service install",
        first,
    ]
    assert "Thank Chen Wei?" not in "".join(lines)
    assert json.loads(thanksd("resume", "--json").out) == {
        "v": 1,
        "pause": {"since": None, "until": None, "letters": 1},
    }
    thanksd("pause", "2w")
    assert thanksd("resume").out == "Popups come again. 1 to thank now: thanksd review\n"


def test_problems_stand_above_the_list_one_line_each() -> None:
    settings()
    new_ledger()
    confirm(add())
    configure('[transport]\nkind = "smtp"\n[transport.smtp]\nhost = "smtp.gmail.com"\n')
    change(store_file(), "UPDATE letter SET state = 'deferred', reason = 'credentials'")
    thanksd("pause", "2w")
    lines = _in_terminal("owed").splitlines()
    assert lines[0].startswith("Nobody will remind you: the daemon is not running.")
    assert lines.pop(1) == "thanksd service install"
    assert lines[1] == "Gmail refused the password. 1 letter waits: thanksd credentials set"
    assert lines[2].startswith("Paused until ")
    assert "NOTHING DUE NOW" in lines[3]
    assert "".join(lines).count("Nobody will remind you") == 1


def test_a_pause_silences_a_real_desktop_and_its_end_brings_one_digest(short_dir: Path) -> None:
    settings()
    new_ledger()
    with desktop_rigs.desk(short_dir) as desk, desk.dunst():
        session = {name: desk.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}
        with daemon(environ=session, quick=True, absence=(300, 1)):
            until: str = client().call("pause", until="3s")["pause"]["until"]
            for name in ("Ada Lovelace", "Chen Wei"):
                add(name, after="0s")
            assert query("SELECT 1 FROM nudge") == []
            wait_for(lambda: value("SELECT count(*) FROM nudge WHERE shown_at IS NOT NULL") == 2)
            first = value("SELECT min(attempted_at) FROM nudge")
            assert datetime.fromisoformat(first).replace(tzinfo=UTC) >= from_iso(until) + timedelta(seconds=1)
            assert desk.displayed() == 1
            desk.ctl("close-all")
            wait_for(lambda: [one["summary"] for one in desk.history()] == ["2 people to thank"])
