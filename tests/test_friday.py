"""The weekly question: its moments, its one popup a week with a clock of ours; then on a real dunst, really pressed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import desktop_rigs
import parts
import pytest
from cells import Say, cell
from cli_rigs import change, config_file, new_ledger, store_file, thanksd
from daemon_rigs import Ledger, client, daemon, query, settings, value, wait_for
from store_rigs import at_once_in

from thanksd import timing
from thanksd.errors import ConfigError
from thanksd.timing import Pause, Quiet, Weekly

BERLIN = "Europe/Berlin"
FRIDAY = Weekly(4, time(16))
NIGHT = Quiet(time(21), time(8, 30))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of March 2025 on Berlin's clock; the 14th, the 21st and the 28th are Fridays."""
    return datetime(2025, 3, day, hour, minute, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


def _berlin(moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(BERLIN)):%d %a %H:%M}"


# --- its moments ---


@pytest.mark.parametrize(
    ("words", "ask"),
    [("fri 16:00", FRIDAY), (" Friday  16:00 ", FRIDAY), ("sun 9:05", Weekly(6, time(9, 5))), ("", None), (" ", None)],
)
def test_the_setting_is_read(words: str, ask: Weekly | None) -> None:
    assert timing.parse_ask(words) == ask


@pytest.mark.parametrize(
    "words", ["fri", "16:00", "fr 16:00", "fri 25:00", "fri 4pm", "fri 16:00 17:00", "fri\x07 1:00"]
)
def test_what_is_no_moment_of_a_week_is_refused_naming_the_setting(words: str) -> None:
    with pytest.raises(ConfigError, match=r"nudge\.ask"):
        timing.parse_ask(words)
    refused = thanksd("config", "set", "nudge.ask", words)
    assert (refused.code, "Nothing was changed" in refused.err) == (2, True)


def _next(now: datetime, asked_at: datetime, ask: Weekly = FRIDAY, **more: Any) -> str:
    options: dict[str, Any] = {"quiet": NIGHT, "pause": None, "weekdays_only": False} | more
    _, popup = timing.next_ask(ask, asked_at, now, BERLIN, **options)
    return _berlin(popup)


def test_it_comes_on_fridays() -> None:
    assert _next(at(12, 10), at(7, 16)) == "14 Fri 16:00"
    assert _next(at(14, 16), at(7, 16)) == "14 Fri 16:00"
    assert _next(at(14, 16, 1), at(14, 16)) == "21 Fri 16:00"
    # Over a clock change 16:00 stays 16:00.
    assert _next(at(28, 17), at(28, 16)) == "04 Fri 16:00"


def test_one_that_was_missed_comes_on_return_until_sunday_night_and_never_later() -> None:
    assert _next(at(15, 11), at(7, 16)) == "15 Sat 11:00"
    assert _next(at(16, 20, 59), at(7, 16)) == "16 Sun 20:59"
    # Free again only on Monday morning.
    assert _next(at(16, 21), at(7, 16)) == "21 Fri 16:00"
    assert _next(at(17, 9), at(7, 16)) == "21 Fri 16:00"
    assert _next(at(14, 23), at(7, 16)) == "15 Sat 08:30"


def test_quiet_hours_put_it_behind_them() -> None:
    late = Weekly(4, time(22))
    assert _next(at(14, 12), at(7, 22), late) == "15 Sat 08:30"
    sunday = Weekly(6, time(22))
    assert _next(at(16, 23), at(9, 22), sunday) == "17 Mon 08:30"
    assert _next(at(17, 23), at(9, 22), sunday) == "24 Mon 08:30"
    assert _next(at(14, 12), at(7, 16), weekdays_only=True, ask=Weekly(5, time(12))) == "17 Mon 08:30"


@pytest.mark.parametrize(
    ("ends", "now", "then"),
    [
        cell("Clock", "The weekly question", "its moment in a pause", at(21, 18), (at(21, 17), at(21, 18), at(22, 11)), "28 Fri 16:00", daily=True),
        cell("Clock", "The weekly question", "missed, then a pause to Sunday", at(16, 12), (at(15, 9), at(16, 12)), "21 Fri 16:00"),
        cell("Clock", "The weekly question", "a pause that ended before", at(14, 9), (at(14, 10), at(14, 15, 59)), "14 Fri 16:00"),
    ],
)  # fmt: skip
def test_a_question_from_before_the_end_of_a_pause_is_dropped(
    seen: Say, ends: datetime, now: tuple[datetime, ...], then: str
) -> None:
    pause = Pause(at(12, 9), ends)
    assert [_next(moment, at(7, 16), pause=pause) for moment in now] == [then] * len(now)
    seen(
        "asked at its moment" if ends < at(14, 16) else "not asked: the next comes at the next week's moment", len(now)
    )


def test_a_moment_that_is_moved_within_its_day_is_not_asked_twice() -> None:
    assert _next(at(14, 18), at(14, 16), Weekly(4, time(18))) == "21 Fri 18:00"


# --- the claim, with a clock of ours ---


def _ledger(folder: Path, **nudge: Any) -> Ledger:
    """A ledger whose owner wants to be asked; it is Wednesday 12 March 2025, 10:00 in Berlin, a daemon is there."""
    ledger = Ledger(folder / "t.db", **({"quiet_hours": "", "ask": "fri 16:00"} | nudge))
    ledger.call("next_moment")
    return ledger


def _asked(found: list[dict[str, Any]]) -> list[str]:
    return [one["popup"]["body"] for one in found if one["occasion"] == "ask"]


def test_it_is_asked_once_a_week_and_says_how_the_week_went(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    for name in ("Ada Lovelace", "Chen Wei"):
        ledger.add(name, after="4d")
    ledger.call("done", ref="1")
    with ledger.store.write() as connection:
        connection.exec_driver_sql("UPDATE thanks SET practice = 1 WHERE id = 2")
    assert ledger.call("next_moment")["popup"] == "2025-03-14T15:00:00Z"
    assert ledger.due() == []
    ledger.now = at(14, 16)
    (question,) = ledger.show(5)
    assert (question["popup"]["title"], question["popup"]["body"]) == (
        "Whom did you meet this week?",
        "1 met, 1 thanked so far.",
    )
    assert [label for _, label in question["popup"]["buttons"]] == ["Add", "Nobody"]
    assert question["line"] == "Whom did you meet this week? 1 met, 1 thanked so far.  thanksd add"
    ledger.later(hours=1)
    assert _asked(ledger.due()) == []
    ledger.now = at(21, 16)
    assert _asked(ledger.due()) == ["0 met, 0 thanked so far."]


def test_who_wants_it_from_now_on_is_not_asked_for_a_friday_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="", ask="fri 16:00")
    ledger.now = at(14, 18)
    assert ledger.due() == []
    assert ledger.call("next_moment")["popup"] == "2025-03-21T15:00:00Z"
    # Switched off for weeks, and on again.
    off = Ledger(tmp_path / "off.db", quiet_hours="")
    off.store, off.now = ledger.store, at(18, 12)
    off.call("next_moment")
    ledger.now = at(29, 12)
    ledger.call("next_moment")
    assert ledger.due() == []
    ledger.now += timedelta(days=6, hours=4)
    assert len(_asked(ledger.due())) == 1


def test_it_does_not_use_up_the_days_three_popups(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.now = at(14, 15, 59)
    for number, name in enumerate(("Ada Lovelace", "Chen Wei"), 1):
        ledger.add(name)
        ledger.later(seconds=2)
        ledger.show(number)
    ledger.now = at(14, 16)
    assert len(_asked(ledger.show(3))) == 1
    ledger.now = at(14, 13)
    ledger.add("Tom Jones", after="")
    ledger.now = at(14, 16, 10)
    assert [one["thanks"] for one in ledger.due()] == [[3]]


def test_what_no_channel_showed_is_asked_again_and_what_a_crash_swallowed_is_not(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.now = at(14, 16)
    (first,) = ledger.due()
    ledger.call("nudges_failed", ids=first["ids"], error="no server")
    assert ledger.call("next_moment")["popup"] == "2025-03-14T15:00:00Z"
    ledger.later(minutes=10)
    # In a terminal then, as any other nudge.
    (second,) = ledger.due("terminal")
    assert second["ids"] == first["ids"]
    # Nobody says what became of it: it may have been seen.
    ledger.later(hours=1)
    assert (ledger.due(), ledger.due("terminal")) == ([], [])


def test_a_restart_takes_the_dead_popup_down_and_does_not_ask_twice(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.now = at(14, 16)
    ledger.show(5)
    assert ledger.call("show_again") == {"popups": [[5, ":1.1"]]}
    assert ledger.due() == []
    ledger.now = at(21, 16)
    ledger.show(6)
    ledger.now = at(23, 23)
    assert ledger.call("answered_popups") == {"popups": []}
    # On Monday "this week" is another one.
    ledger.now = at(24, 8)
    assert ledger.call("answered_popups") == {"popups": [[6, ":1.1"]]}


@pytest.mark.parametrize("key", ["add", "nobody"])
def test_both_buttons_answer_it_and_only_once(tmp_path: Path, key: str) -> None:
    ledger = _ledger(tmp_path)
    ledger.now = at(14, 16)
    ledger.show(5)
    said = {"thanks": [], "names": [], "occasion": "ask"}
    assert ledger.call("answer", popup_id=5, server=":1.1", key=key) == said | {"done": True}
    assert ledger.call("answer", popup_id=5, server=":1.1", key=key) == said | {"done": False}
    assert [one["what"] for one in ledger.call("log")["events"]] == ["asked", "answered"]
    assert ledger.call("answered_popups") == {"popups": [[5, ":1.1"]]}


_CLAIM = """
from datetime import datetime
from pathlib import Path
from thanksd import verbs
from thanksd.config import Config, Nudge
from thanksd.database import open_store
from thanksd.verbs.context import Context
store, now = open_store(f"sqlite:///{sys.argv[1]}"), datetime.fromisoformat(sys.argv[2])
config = Config(nudge=Nudge(quiet_hours="", ask="fri 16:00"))
context = Context(store, config, Path("/nowhere"), "Europe/Berlin", lambda: now)
verbs.call("owed", context, {})
go()
print(json.dumps(len(verbs.call("due_nudges", context, {"channel": "desktop"})["nudges"])))
"""


def test_of_programs_that_run_at_once_one_asks(tmp_path: Path) -> None:
    _ledger(tmp_path)
    assert sorted(at_once_in(4, _CLAIM, str(tmp_path / "t.db"), at(14, 16).isoformat())) == [0, 0, 0, 1]


# --- on a real notification server ---


def _ask_a_minute_ago() -> None:
    """Set the question for a minute ago, as in a ledger that was asked last in another week."""
    now = datetime.now(UTC)
    # A week that began in the last hour has no Sunday to come; elsewhere it is another day.
    zone = next(one for one in (BERLIN, "America/New_York") if now.astimezone(ZoneInfo(one)).hour)
    asked = (now - timedelta(minutes=1)).astimezone(ZoneInfo(zone))
    text = config_file().read_text().replace("[nudge]", f'[nudge]\nask = "{asked:%a %H:%M}"').replace(BERLIN, zone)
    config_file().write_text(text)
    change(store_file(), "UPDATE member SET asked_at = '2025-01-03 15:00:00.000000'")


def test_add_opens_the_asking_form_in_a_terminal(short_dir: Path, home: Path) -> None:
    parts.need("script")
    terminal = home / "terminal"
    # The form waits for an answer in what `script` gives it: a terminal.
    terminal.write_text(f'#!/bin/sh\necho "$@" >> {home}/opened\nshift\nexec script -qefc "$*" {home}/screen\n')
    terminal.chmod(0o700)
    settings(terminal=str(terminal))
    new_ledger()
    _ask_a_minute_ago()
    with desktop_rigs.desk(short_dir) as desk, desk.dunst():
        session = {name: desk.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}
        with daemon(environ=session):
            wait_for(lambda: query("SELECT 1 FROM nudge WHERE occasion = 'ask' AND shown_at IS NOT NULL"))
            assert desk.displayed() == 1
            desk.press("Add")
            opened = wait_for(lambda: (home / "opened").exists() and (home / "opened").read_text())
            assert opened.startswith("-e env THANKSD_OPENED=popup ")
            assert opened.endswith(" add\n")
            wait_for(lambda: (home / "screen").exists() and "Whom did you meet?" in (home / "screen").read_text())
            assert value("SELECT answer FROM nudge") == "add"
            # At once, and not only when the clock ticks.
            wait_for(lambda: desk.displayed() == 0, 10)
        with daemon(environ=session) as running:
            wait_for(lambda: "is running" in running.log)
            assert value("SELECT count(*) FROM nudge") == 1


def test_without_a_desktop_the_next_command_on_a_terminal_asks() -> None:
    settings()
    new_ledger()
    _ask_a_minute_ago()
    with daemon():
        wait_for(lambda: query("SELECT 1 FROM nudge WHERE error IS NOT NULL"))
        asker = client(lines_wanted=True)
        asker.call("log")
        (line,) = asker.waiting_lines()
        asker.shown(line["ids"])
        assert line["line"].startswith("Whom did you meet this week? 0 met")
        again = client(lines_wanted=True)
        again.call("log")
        assert again.waiting_lines() == []
