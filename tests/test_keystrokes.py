"""docs/EXPERIENCE.md: what ten tasks cost, measured again and compared, so that it can't be stale."""

from __future__ import annotations

from functools import cache

import parts
import pytest
from keystrokes import DOCUMENT, TASKS, measure, row, section
from typist_rigs import Task, keys


@cache
def done(name: str) -> Task:
    """Do a task once in a process, however many tests look at it."""
    parts.need("faketime")
    return measure(name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_costs_what_the_document_says_and_shows_its_screens(name: str) -> None:
    task, written = done(name), DOCUMENT.read_text(encoding="utf-8")
    again = "it is another one now: make keystrokes"
    assert row(name, task) in written, again
    assert section(name, task) in written, again


def test_adding_somebody_known_takes_forty_keys_at_most() -> None:
    assert done("known").keys <= 40


def test_from_popup_to_sent_takes_two_keys_at_most() -> None:
    # The popup's button Review runs this very command: one press. The rest is typed in the window that it opened.
    command, *rest = done("send").typed
    assert (command, keys(rest) + 1) == ("thanksd review\r", 2)
