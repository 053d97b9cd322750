"""The page of two who share a ledger on a PostgreSQL server: each sends their own letters, and only looks at the other's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import page_rigs
import pytest
from page_rigs import Visitor
from postgres_rigs import builds, server
from store_rigs import Desk
from test_postgres import ledger, shared_desk

from thanksd.config import Me

__all__ = ["ledger"]


class AtDesk(NamedTuple):
    """The verbs of a desk, as a page calls them."""

    desk: Desk

    def call(self, verb: str, **params: Any) -> dict[str, Any]:
        return self.desk(verb, **params)


class Colleague(NamedTuple):
    """One of the team: a desk, and a browser at the page of that desk."""

    desk: Desk
    visitor: Visitor

    def state(self, number: int) -> str:
        return str(self.desk("show", ref=str(number))["thanks"][0]["state"])


def _colleague(stack: ExitStack, url: str, state: Path) -> Colleague:
    desk = shared_desk(url)
    stack.callback(desk.context.store.close)
    running = stack.enter_context(page_rigs.served(AtDesk(desk), lambda: desk.context.config, state))
    return Colleague(desk, Visitor(running))


@pytest.fixture
def team(ledger: str, tmp_path: Path) -> Iterator[tuple[Colleague, Colleague]]:
    """Sam and Kim, each with a page of their own."""
    with ExitStack() as stack:
        sam, kim = (_colleague(stack, ledger, tmp_path / name) for name in ("sam", "kim"))
        kim.desk.set(config=replace(kim.desk.context.config, me=Me(name="Kim Roe", email="kim@example.org")))
        kim.desk.set(clock=sam.desk.clock)
        yield sam, kim


def test_each_ones_page_lists_their_own_and_sends_them(team: tuple[Colleague, Colleague]) -> None:
    sam, kim = team
    his, hers = sam.desk.add(), kim.desk.add("Bob Ray")
    assert ["Ada Lovelace" in one.visitor.get("/").text for one in team] == [True, False]
    assert ["Bob Ray" in one.visitor.get("/").text for one in team] == [False, True]
    for one, number in ((sam, his), (kim, hers)):
        assert "Leaves in 30 s" in one.visitor.post(f"/thanks/{number}/send", one.visitor.letter(number)).text
        assert one.state(number) == "confirmed"
    assert "Taken back" in sam.visitor.post(f"/thanks/{his}/undo").text
    assert (sam.state(his), sam.state(hers)) == ("owed", "confirmed")


def test_a_colleagues_thanks_is_shown_with_whose_it_is_and_nothing_to_press(team: tuple[Colleague, Colleague]) -> None:
    sam, kim = team
    hers = kim.desk.add("Bob Ray")
    shown = sam.visitor.get(f"/thanks/{hers}").text
    assert "kim@example.org" in shown
    assert f'action="/thanks/{hers}' not in shown
    # Her own page has it all; what he might send by hand is refused, and she finds everything as it was.
    before = kim.desk("show", ref=str(hers))["thanks"]
    letter = kim.visitor.letter(hers)
    for way in ("send", "draft", "later", "waive", "done", "facts", "undo", "another"):
        sam.visitor.post(f"/thanks/{hers}/{way}", letter | {"delay": "1w", "how": "by card", "detail": "his words"})
    assert kim.desk("show", ref=str(hers))["thanks"] == before
    assert kim.desk("draft", ref=str(hers))["draft"]["body"].splitlines() == letter["body"].splitlines()


def test_while_the_server_is_gone_the_page_says_so_and_afterwards_all_is_there(tmp_path: Path) -> None:
    with server(builds()[0]) as there, ExitStack() as stack:
        sam = _colleague(stack, there.new_database(), tmp_path)
        number = sam.desk.add()
        letter = sam.visitor.letter(number)
        there.stop()
        answer = sam.visitor.get(f"/thanks/{number}")
        assert (answer.status, "Traceback" in answer.text) == (503, False)
        typed = letter | {"body": letter["body"] + "\nWords that I typed.", "token": sam.visitor.get("/add").token}
        assert "Words that I typed." in sam.visitor.post(f"/thanks/{number}/draft", typed).text
        there.start()
        assert sam.visitor.letter(number)["body"] == letter["body"]
        sam.visitor.post(f"/thanks/{number}/send", letter)
        assert sam.state(number) == "confirmed"
