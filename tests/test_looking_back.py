"""Looking back: what an empty list says, what is counted, what the journal tells; and names completed in the shell."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
import terminal_rigs as rigs
from cli_rigs import change, new_ledger, rows, store_file, thanksd
from store_rigs import NOON, Desk

from thanksd.cli import story

FIRST_WEEK = "People are gladder of these than senders expect."


def look(home: Path) -> str:
    """Give what `thanksd` alone shows on a terminal, without the word that no daemon runs."""
    rigs.configure(home)
    with rigs.terminal(columns=120) as terminal:
        assert terminal.end() == 0
        return "\n".join(line for line in terminal.lines if "service install" not in line)


# --- counts ---


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def summary(desk: Desk) -> tuple[object, ...]:
    found = desk("summary")
    return tuple(found[key] for key in ("met", "thanked", "in_time", "is_empty", "is_first_week"))


def test_this_months_meetings_thanks_and_those_in_time_are_counted(desk: Desk) -> None:
    assert summary(desk) == (0, 0, 0, True, False)
    numbers = [desk.add(name) for name in ("Ada", "Bob", "Chen", "Dan")]
    assert summary(desk) == (4, 0, 0, False, True)
    desk("done", ref=str(numbers[0]), how="by phone")
    desk("waive", ref=str(numbers[1]))
    desk.confirm(numbers[2])
    desk.clock.forward(days=5)
    desk("done", ref=str(numbers[3]))
    assert summary(desk) == (4, 3, 2, False, True)
    desk.clock.forward(days=2)
    assert summary(desk)[3:] == (False, False)
    # A month begins on the local clock: in Berlin at 22:00 UTC of the last day of March.
    desk.clock.moment = NOON.replace(month=3, day=31, hour=21, minute=59)
    assert summary(desk)[0] == 4
    desk.clock.forward(minutes=1)
    assert summary(desk)[:3] == (0, 0, 0)


def test_a_practice_letter_is_outside_every_count(desk: Desk) -> None:
    number = int(desk("practice")["thanks"][0]["id"])
    assert summary(desk) == (0, 0, 0, True, False)
    assert desk("owed")["practices"] == [number]
    desk.confirm(number)
    assert summary(desk) == (0, 0, 0, True, False)
    desk.clock.forward(days=8)
    desk.add("Ada")
    assert summary(desk) == (1, 0, 0, False, True)


# --- what the list says ---


def test_on_the_first_day_it_says_how_to_begin(home: Path) -> None:
    new_ledger()
    assert look(home) == (
        "No thanks owed yet.\nSet up: thanksd init    Met somebody: thanksd add    See it work: thanksd demo"
    )


def test_when_nobody_waits_it_looks_back_at_the_month_and_then_says_the_first_sentence_alone(home: Path) -> None:
    ledger = new_ledger()
    thanksd("add", "Ada", "-w", "2h ago")
    thanksd("done", "1", "--how", "by phone")
    assert look(home) == f"Nobody is waiting for thanks. This month: 1 met, 1 thanked, 1 in time.\n{FIRST_WEEK}"
    month = timedelta(days=32)
    for column in ("created_at", "changed_at", "closed_at"):
        change(ledger, f"UPDATE thanks SET {column} = datetime({column}, ?)", f"-{month.days} days")  # noqa: S608  a column's name
    assert look(home) == "Nobody is waiting for thanks."
    assert thanksd().out == ""


def test_the_list_marks_a_practice_letter_and_does_not_count_it(home: Path) -> None:
    ledger = new_ledger()
    thanksd("add", "Sam Lee", "sam.lee@example.org", "--after", "0s")
    change(ledger, "UPDATE thanks SET practice = 1")
    text = look(home)
    assert re.search(r"^  1  Sam Lee +practice ", text, re.MULTILINE)
    assert "To try it: thanksd review" in text
    thanksd("add", "Ada", "--after", "0s")
    text = look(home)
    assert "1 to thank now: thanksd review" in text
    assert re.search(r"^  2  Ada +general ", text, re.MULTILINE)


# --- the journal ---


def test_the_log_is_oldest_first_with_one_worded_line_an_event(home: Path) -> None:
    new_ledger()
    rigs.configure(home, undo="0s")
    thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "coffee", "-w", "2h ago", "-d", "why you left Rust")
    thanksd("snooze", "1", "1h")
    thanksd("undo", "1")
    thanksd("send", "1", "--yes")
    told = [line.split("\t")[-1] for line in thanksd("log", "1").out.splitlines()]
    assert [re.split("[;:,]| until", line)[0] for line in told] == [
        *("added", "snoozed", "taken back", "confirmed", "saved"),
    ]
    assert rows(store_file())["event"] == len(told)


def test_every_event_that_the_program_writes_has_words_of_its_own() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(story.__file__).parents[1].rglob("*.py"))
    written = set(re.findall(r'journal\.record\(\s*\w+,\s*\w+,\s*[\w.]+,\s*"([^"]+)"', source))
    assert {"added", "waived", "taken back"} <= written
    assert [what for what in sorted(written) if story.tell({"what": what, "data": {}}, "UTC") in ("", what)] == []


# --- completion ---


def completed(words: str, **env: str) -> list[str]:
    """Give what bash is offered for the last of these words."""
    asked = {"_THANKSD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = thanksd(env={**asked, **env})
    assert (done.code, done.err) == (0, "")
    return [line.removeprefix("plain,") for line in done.out.splitlines() if line]


def test_the_shell_completes_people_thanks_and_kinds_and_changes_nothing(home: Path) -> None:
    ledger = new_ledger()
    thanksd("add", "José Álvarez", "jose@example.com")
    thanksd("add", "Ada Lovelace", "ada@example.com", "-k", "coffee")
    thanksd("add", "Ada Yonath", "-k", "event")
    thanksd("waive", "3")
    before = ledger.read_bytes()
    assert completed("thanksd add Ad") == ["Ada", "ada@example.com"]
    assert completed("thanksd add ada lo") == ["Lovelace"]
    assert completed("thanksd add jos") == ["José", "jose@example.com"]
    assert completed("thanksd add Grace --with ada@") == ["ada@example.com"]
    assert completed("thanksd show a") == ["Álvarez", "Ada"]
    assert completed("thanksd show 2") == ["2"]
    assert completed("thanksd log 3") == []
    assert completed("thanksd add -k co") == ["coffee"]
    assert (ledger.read_bytes(), home.exists()) == (before, True)


def test_completion_is_silent_where_there_is_no_ledger_or_a_damaged_one(short_dir: Path) -> None:
    assert completed("thanksd add Ad") == []
    assert not store_file().parent.exists()
    garbage = short_dir / "garbage %20#.db"
    garbage.write_bytes(b"not a ledger" * 1000)
    assert completed("thanksd show A", THANKSD_STORE=str(garbage)) == []
    assert completed("thanksd show A", THANKSD_STORE="postgresql://x/y") == []
    assert sorted(os.listdir(short_dir)) == sorted(["h", garbage.name])  # noqa: PTH208  names are all it is about
