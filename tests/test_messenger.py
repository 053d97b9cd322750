"""The messenger: what goes wrong with one nudge costs no other, and a channel that fails is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from daemon_rigs import Ledger

from thanksd.channels import Popup, Receipt, mail
from thanksd.credentials import CredentialsError
from thanksd.errors import TryLaterError
from thanksd.health import FIRST_PAUSE, Healths
from thanksd.messenger import Messenger, _Tried
from thanksd.page.visits import Link
from thanksd.reminder import Reminder

Take = Callable[[Popup], Awaitable[_Tried]]


class _Messenger(Messenger):
    take: Take

    async def _push(self, popup: Popup) -> _Tried:
        return await self.take(popup)


def _nothing() -> None:
    """Stand in for the wish for a pass."""


class Rig:
    """A messenger to a ledger of ours, whose phone is a function of the test's."""

    def __init__(self, ledger: Ledger, take: Take) -> None:
        self.ledger, self.health, self.failing = ledger, Healths(), 0
        self.shown = 0
        config = ledger._config
        self.messenger = _Messenger(self.call, _nothing, lambda: config, "", {}, self.health, self._on_shown)
        self.messenger.take = take

    def _on_shown(self) -> None:
        self.shown += 1

    async def call(self, verb: str, params: dict[str, Any]) -> dict[str, Any]:
        if verb.startswith("nudges_") and self.failing:
            self.failing -= 1
            raise TryLaterError("The ledger is busy.")
        return self.ledger.call(verb, **params)

    def due(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ledger.call("due_nudges", channel=["push"])["nudges"]
        return found

    def bring(self) -> list[str]:
        """Bring what is due, and give its occasions."""
        found = self.due()

        async def run() -> None:
            self.messenger.send(found)
            await self.messenger.finish()

        asyncio.run(run())
        return [nudge["occasion"] for nudge in found]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with a thanks and the weekly question due, in that order; Wednesday 12 March 2025, 11:30 in Berlin."""
    ledger = Ledger(tmp_path / "t.db", quiet_hours="", channels=("push",), ask="wed 11:00")
    ledger.call("next_moment")
    ledger.add("Ada Lovelace", after="1h")
    ledger.now = datetime(2025, 3, 12, 10, 30, tzinfo=UTC)
    return ledger


async def takes(_: Popup) -> _Tried:
    return _Tried(Receipt(shown=True, popup_id=0, server="", error=""))


async def refuses(_: Popup) -> _Tried:
    return _Tried(Receipt(shown=False, popup_id=0, server="", error="No phone."))


def errors(ledger: Ledger) -> list[tuple[str, str | None, bool]]:
    with ledger.store.read() as connection:
        query = "SELECT occasion, error, shown_at IS NOT NULL FROM nudge ORDER BY id"
        return [(row[0], row[1], bool(row[2])) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_receipt_that_can_not_be_noted_costs_no_other_nudge(ledger: Ledger, failing: int) -> None:
    rig = Rig(ledger, takes)
    rig.failing = failing
    assert rig.bring() == ["thanks", "ask"]
    # Noted at the second try, or not at all: that one comes again, the question was asked.
    assert errors(ledger) == [("thanks", None, failing == 1), ("ask", None, True)]
    assert (rig.shown, rig.health["push"].is_busy) == (2, False)


def test_what_waited_behind_a_failure_is_due_again_and_its_row_says_that_it_was_not_tried(ledger: Ledger) -> None:
    rig = Rig(ledger, refuses)
    assert rig.bring() == ["thanks", "ask"]
    assert errors(ledger) == [("thanks", "No phone.", False), ("ask", "It waited for the nudge before it.", False)]
    ledger.later(seconds=1)
    assert [nudge["occasion"] for nudge in rig.due()] == ["thanks", "ask"]


def test_a_messenger_that_is_stopped_gives_back_what_it_has_not_begun(ledger: Ledger) -> None:
    began = asyncio.Event()

    async def hangs(_: Popup) -> _Tried:
        began.set()
        await asyncio.sleep(60)
        raise AssertionError

    rig = Rig(ledger, hangs)

    async def run() -> None:
        rig.messenger.send(rig.due())
        await began.wait()
        await rig.messenger.stop()

    asyncio.run(run())
    assert rig.messenger.is_under_way is False
    assert [nudge["occasion"] for nudge in rig.due()] == ["ask"]


@pytest.mark.parametrize("failing", [0, 1])
def test_popups_behind_one_that_failed_are_due_again_also_where_that_can_not_be_noted(
    tmp_path: Path, failing: int
) -> None:
    ledger = Ledger(tmp_path / "t.db", quiet_hours="", channels=("desktop",), ask="wed 11:00")
    ledger.call("next_moment")
    ledger.add("Ada Lovelace", after="1h")
    ledger.now = datetime(2025, 3, 12, 10, 30, tzinfo=UTC)
    rig = Rig(ledger, takes)
    no_bus = {"XDG_RUNTIME_DIR": str(tmp_path)}
    reminder = Reminder(rig.call, _nothing, lambda: ledger._config, [], no_bus, "", _no_page)

    async def run() -> bool:
        rig.failing = failing
        return await reminder.remind(ledger.due())

    if failing:
        with pytest.raises(TryLaterError):
            asyncio.run(run())
    else:
        assert asyncio.run(run()) is False
    ledger.later(seconds=1)
    assert [nudge["occasion"] for nudge in ledger.due()] == ["thanks", "ask"][failing:]


def _no_page(path: str) -> tuple[str, Link]:
    raise AssertionError(path)


def test_a_channel_that_fails_by_a_mistake_is_sick_and_left_alone_like_any_other(ledger: Ledger) -> None:
    async def breaks(_: Popup) -> _Tried:
        raise RuntimeError("can't start new thread")

    rig = Rig(ledger, breaks)
    rig.bring()
    assert (rig.health["push"].error, rig.health["push"].can_be_tried) == ("The channel failed: RuntimeError.", False)
    assert errors(ledger)[0] == ("thanks", "The channel failed: RuntimeError.", False)
    assert rig.health.sick(["push"])[0]["channel"] == "push"


@pytest.mark.parametrize(("reason", "seconds"), [("locked", 3600.0), ("command", FIRST_PAUSE)])
def test_a_locked_keyring_does_not_open_its_window_again_and_again(ledger: Ledger, reason: str, seconds: float) -> None:
    async def asks(_: Popup) -> _Tried:
        raise CredentialsError("The keyring is locked.", "", reason)

    rig = Rig(ledger, asks)
    rig.bring()
    assert rig.health["push"]._try_again - time.monotonic() == pytest.approx(seconds, abs=20)


def test_a_mail_whose_password_can_not_be_read_is_left_alone_as_long(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text(_NO_PASSWORD)
    (tmp_path / "config.toml").chmod(0o600)

    async def in_this_process(_module: str, request: dict[str, Any], *_: object) -> dict[str, Any]:
        return mail._act(request)

    monkeypatch.setattr(mail, "ask", in_this_process)
    rig = Rig(ledger, takes)
    rig.messenger._config_file = str(tmp_path / "config.toml")
    tried = asyncio.run(rig.messenger._try("mail", rig.due()[0]))
    assert (tried.receipt.shown, tried.pause) == (False, 3600.0)
    assert "password_command failed with status 1" in tried.receipt.error


_NO_PASSWORD = """\
[me]
email = "sam@example.org"
[transport]
kind = "smtp"
[transport.smtp]
host = "127.0.0.1"
port = 1
security = "none"
password_command = "false"
"""


def test_a_channel_that_was_taken_out_of_the_settings_is_sick_no_more() -> None:
    health = Healths()
    for channel in ("push", "mail"):
        health[channel].failed("No way.")
    assert list(health.news(["push", "desktop"])) == ["push"]
    assert [one["channel"] for one in health.sick(["mail"])] == ["mail"]


def test_of_two_sick_channels_the_one_that_was_told_of_is_told_once_and_the_other_next() -> None:
    health = Healths()
    for channel in ("push", "mail"):
        health[channel].failed("No way.")
    wanted = ("desktop", "push", "mail")
    health.shown("desktop", told="push")
    assert list(health.news(wanted)) == ["mail"]
    health["push"].works()
    health["push"].failed("No way.")
    health.shown("desktop")
    assert sorted(health.news(wanted)) == ["mail", "push"]


def test_the_calendars_entry_of_one_thanks_is_asked_for_alone_and_a_mail_comes_without_it(ledger: Ledger) -> None:
    ledger.add("Chen Wei", after="1h")
    assert [one["thanks"] for one in ledger.call("feed", thanks=2)["events"]] == [2]
    rig = Rig(ledger, takes)

    async def busy(_verb: str, _params: dict[str, Any]) -> dict[str, Any]:
        raise TryLaterError("The ledger is busy.")

    rig.messenger._call = busy
    assert asyncio.run(rig.messenger._event(2)) is None
