"""Two who share a ledger: whose thanks are seen, passed on, taken over and carried; and anything at all for a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from cli_rigs import configure, thanksd
from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st
from smtp_rigs import USER, mail_server
from store_rigs import Desk
from test_fuzz import QUIETLY, anything
from test_postgres import ME, ledger, shared_desk

from thanksd import paths, postgres
from thanksd.config import Me, Smtp, Transport
from thanksd.errors import ConfigError, ThanksdError, UsageError

__all__ = ["ledger"]
SAM, KIM = "sam@example.org", "kim@example.org"


@pytest.fixture
def team(ledger: str) -> Iterator[tuple[Desk, Desk]]:
    """Sam's desk, and Kim's, who writes her address with capitals; letters of each go into the same Maildir."""
    with ExitStack() as stack:
        sam, kim = (shared_desk(ledger) for _ in range(2))
        for desk in (sam, kim):
            stack.callback(desk.context.store.close)
        kim.set(config=replace(kim.context.config, me=Me(name="Kim Roe", email="Kim@Example.org")))
        kim.clock = sam.clock
        kim.set(clock=sam.clock)
        yield sam, kim


def carry_for(desk: Desk, *others: str) -> None:
    config = desk.context.config
    desk.set(config=replace(config, send=replace(config.send, also_for=others)))


def numbers(desk: Desk, **how_: Any) -> list[int]:
    return [one["id"] for one in desk("owed", **how_)["thanks"]]


def test_each_sees_their_own_and_with_team_everybodys(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    his, hers = sam.add(), kim.add("Bob Ray")
    assert (numbers(sam), numbers(kim)) == ([his], [hers])
    assert numbers(sam, team=True) == numbers(kim, team=True) == [his, hers]
    assert [one["owner"] for one in sam("owed", team=True)["thanks"]] == [SAM, KIM]


def test_each_looks_back_at_their_own_and_has_a_calendar_of_their_own(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    sam.add(promises=["the paper by friday"])
    sam("done", ref=str(sam.add("Chen Li")))
    kim.add("Bob Ray", promises=["the slides"])
    his, hers = sam("stats"), kim("stats")
    assert [(one["owed"], one["given"], one["promises"]["made"]) for one in (his, hers)] == [(2, 1, 1), (1, 0, 1)]
    assert his["hours"]["within"][0]["given"] == 1
    assert [(one["what"], one["person"]) for one in sam("feed")["events"]] == [
        ("thanks", "Ada Lovelace"),
        ("promise", "Ada Lovelace"),
    ]
    assert [(one["what"], one["person"]) for one in kim("feed")["events"]] == [("thanks", "Bob Ray")]


@pytest.mark.parametrize(
    ("verb", "params"),
    [
        ("snooze", {}),
        ("waive", {}),
        ("done", {}),
        ("undo", {}),
        ("draft", {"body": "mine"}),
        ("prepare", {}),
        ("resolve", {"how": "sent"}),
        ("bounced", {}),
        ("edit", {"place": "here"}),
    ],
)
def test_nobody_changes_a_colleagues_thanks(team: tuple[Desk, Desk], verb: str, params: dict[str, Any]) -> None:
    sam, kim = team
    number = str(sam.add())
    before = sam("show", ref=number)
    with pytest.raises(UsageError, match=f"is owed by {SAM}") as caught:
        kim(verb, ref=number, **params)
    assert "--owner me" in caught.value.hint
    assert sam("show", ref=number) == kim("show", ref=number) == before


def test_a_thanks_is_handed_to_a_colleague_and_taken_back_over(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    number = sam.add()
    sam("edit", ref=str(number), owner="KIM@example.org")
    assert (numbers(sam), numbers(kim)) == ([], [number])
    sam("edit", ref=str(number), owner="me")
    assert (numbers(sam), numbers(kim)) == ([number], [])
    assert sam.words(number) == ["added", "passed on", "edited", "passed on", "edited"]


def test_what_was_done_before_it_was_passed_on_is_not_the_colleagues_to_take_back(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    number = str(sam.add())
    sam("snooze", ref=number, delay="2d")
    sam("edit", ref=number, owner=KIM)
    with pytest.raises(ThanksdError, match="nothing to take back"):
        kim("undo", ref=number)
    with pytest.raises(ThanksdError, match="nothing to take back"):
        kim("undo")


def test_a_letter_that_came_back_is_not_let_have_arrived_by_who_owes_it_now(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    number = sam.queued()
    sam("dispatch")
    sam("bounced", ref=str(number))
    sam("edit", ref=str(number), owner=KIM)
    for ref in ({"ref": str(number)}, {}):
        with pytest.raises(ThanksdError, match="nothing to take back"):
            kim("undo", **ref)
    assert kim("show", ref=str(number))["thanks"][0]["letter"]["state"] == "failed"


def test_nobody_ends_the_hold_of_a_colleagues_letter(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    number = sam.add()
    sam.confirm(number, at_once=False)
    assert kim("leave_now", thanks=[number]) == {"letters": 0}
    assert sam("leave_now", thanks=[number]) == {"letters": 1}


@pytest.mark.parametrize(("also_for", "is_carried"), [((), False), (("Sam@Example.ORG",), True), (("*",), True)])
def test_a_letter_leaves_where_its_writer_lets_it(
    team: tuple[Desk, Desk], also_for: tuple[str, ...], is_carried: bool
) -> None:
    sam, kim = team
    sam.queued()
    carry_for(kim, *also_for)
    assert kim("dispatch") == {"letters": int(is_carried)}
    (letter,) = [*sam.saved(), b""][:1]
    assert (b"From: Sam Lee <sam@example.org>" in letter) is is_carried


def test_the_log_and_the_outbox_are_of_ones_own(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    his, hers = sam.queued(), kim.add("Bob Ray")
    assert {event["thanks"] for event in sam("log")["events"]} == {his}
    assert {event["thanks"] for event in kim("log")["events"]} == {hers}
    assert [len(desk("outbox")["letters"]) for desk in team] == [1, 0]


def test_a_pause_is_of_its_owner_alone(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    sam.add(), kim.add("Bob Ray")
    sam("pause", until="1w")
    sam.clock.forward(days=2)
    assert [len(desk("due_nudges", channel="terminal")["nudges"]) for desk in team] == [0, 1]


def test_the_command_line_shows_the_teams_and_passes_on(team: tuple[Desk, Desk], ledger: str) -> None:
    sam, kim = team
    hers = kim.add("Bob Ray")
    configure(ME)
    there = ("--store", ledger)
    assert "Bob Ray" not in thanksd("owed", *there).out
    assert "Bob Ray" in thanksd("owed", "--team", *there).out
    assert thanksd("edit", str(hers), "--owner", "me", *there).code == 0
    assert numbers(sam) == [hers]


# --- anything at all ---

_NAMES = (
    st.sampled_from(["me", "ME", " me", "*", "", KIM, "Kim@Example.org", f" {KIM} ", "kim@@example.org"]) | anything
)


def test_any_owner_is_an_address_or_is_refused_and_nothing_changed(team: tuple[Desk, Desk]) -> None:
    sam, _ = team
    number = str(sam.add())

    @how(max_examples=20, **QUIETLY)
    @given(_NAMES)
    def pass_on(owner: str) -> None:
        before = sam("show", ref=number)
        with contextlib.suppress(ThanksdError):
            assert "@" in sam("edit", ref=number, owner=owner)["thanks"][0]["owner"]
            before = sam("edit", ref=number, owner="me")
        assert sam("show", ref=number)["thanks"] == before["thanks"]

    pass_on()


def test_any_list_of_colleagues_lets_no_letter_of_somebody_else_leave(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    sam.queued()

    @how(max_examples=20, **QUIETLY)
    @given(st.lists(_NAMES.filter(lambda one: one != "*"), max_size=3))
    def carry(also_for: list[str]) -> None:
        carry_for(kim, *also_for)
        assert kim.context.writers is not None
        assert "" not in kim.context.writers
        kim("next_moment")
        assert kim("dispatch") == {"letters": 0}

    carry()


_URLS = st.builds(
    "{}{}".format, st.sampled_from(["postgresql://", "postgres://", "postgresql+psycopg://"]),
    st.lists(
        st.sampled_from(["sam", ":", "@", "/", "?", "&", "=", "host", "[::1]", "5432", "password", "%70", "secret", "#"])
        | st.text(max_size=6),
        max_size=8,
    ).map("".join),
)  # fmt: skip


@how(max_examples=200, **QUIETLY)
@given(_URLS)
@example("postgresql://sam:se/cret@host/db")
@example("postgresql://[::1")
@example("postgresql://host/db?host=a,b&port=1")
def test_any_name_of_a_server_is_taken_without_a_password_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(ConfigError):
        engine = postgres.make_engine(paths.store_url(text), keep_connections=False)
        _, arguments = engine.dialect.create_connect_args(engine.url)
        assert engine.url.password is None
        assert "password" not in arguments
        assert paths.socket_file(paths.store_url(text)).name.endswith(".sock")


def test_a_wrong_password_is_tried_once_whoever_s_letters_leave_by_it(team: tuple[Desk, Desk]) -> None:
    sam, kim = team
    carry_for(sam, KIM)
    mine, hers = sam.queued(), kim.queued("Bob Ray")
    with mail_server() as box:
        box.login = (USER, "the right one")
        for desk, word in ((sam, "a wrong one"), (kim, "the right one")):
            way = Smtp(host="127.0.0.1", port=box.port, security="none", username=USER)
            desk.set(config=replace(desk.context.config, transport=Transport(kind="smtp", smtp=way)))
            desk.set(secret=partial(str, word))
        seats = iter(("sam's", "kim's"))
        for desk in (sam, kim):
            vars(desk.context.store)["seat"] = next(seats)
        for _ in range(3):
            sam("dispatch")
        assert box.seen.count(b"AUTH ") == 1
        # Her own login is a good one: what his could not carry leaves by it, and his own letter waits for him.
        kim("dispatch")
        states = {one["id"]: one["letter"]["state"] for one in sam("owed", team=True, everything=True)["thanks"]}
        assert states == {mine: "deferred", hers: "sent"}
