"""The check `channels`, and a real nudge on the phone and by mail: is there a way to each, and which is sick."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from thanksd import credentials
from thanksd.channels import REFUSED_LOGIN, Popup, mail, push
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.client import Client
from thanksd.errors import ConfigError, ThanksdError
from thanksd.moments import from_iso, say_short
from thanksd.transports import leaves_by_itself
from thanksd.world import user_zone

_TRY = "thanksd doctor --nudge"
_TITLE, _LINE = "This is how thanksd reminds you", "thanksd doctor asked for it."
# Of the channels that are not here: what took a nudge, what to ask of it, and what to do where it was not seen.
SEEN = {
    "push": ("Did your phone show it?", f"Look at the service's app on your phone, then: {_TRY}"),
    "mail": ("Did it come into your mailbox?", f"Give it a minute, look for it among junk, then: {_TRY}"),
}


def channels(place: Place) -> Iterator[Finding]:
    """Look whether each channel of the user's can be used at all, and which ones the daemon could not reach."""
    wanted = place.settings().nudge.channels
    if not wanted:
        anew = "Name some: thanksd config set nudge.channels desktop,terminal"
        yield look_at("channels", "No channel is named: nobody will remind you.", anew)
        return
    found = [*_unusable(place), *_sick(place)]
    yield from found or [ok("channels", f"Nudges go to {', '.join(wanted)}.")]


def _unusable(place: Place) -> Iterator[Finding]:
    settings = place.settings()
    if "push" in settings.nudge.channels:
        try:
            push.check_library()
            credentials.push_reader(settings.nudge.push_command, place.environ)()
        except ThanksdError as error:
            yield mend("channels", f"No nudge can reach your phone. {error.message}", error.hint)
    if "mail" in settings.nudge.channels and not (leaves_by_itself(settings.transport) and settings.me.email):
        words = "No nudge can be mailed: nothing leaves from here by itself, or your own address is not set."
        yield mend("channels", words, "Name others: thanksd config set nudge.channels desktop,terminal")


def _sick(place: Place) -> Iterator[Finding]:
    """Tell what the daemon could not reach; where none answers, the check `daemon` says so."""
    try:
        said = Client(place.store, str(place.config_file), lines_wanted=False).ask_status() or {}
    except ThanksdError:
        return
    zone = user_zone(place.settings().me.timezone, place.environ.get("TZ", ""))
    for one in said.get("sick", []):
        since = say_short(from_iso(one["since"]), place.now, zone)
        words = f"{one['channel'].capitalize()} could not be reached since {since}: {one['error']}"
        is_refused = one["error"].startswith(REFUSED_LOGIN)
        yield look_at("channels", words, f"Once it is mended: {'thanksd credentials test' if is_refused else _TRY}")


def sent(place: Place, channel: str) -> Finding:
    """Send a real nudge to the phone, or by mail, as the daemon would, and give what came of it."""
    if place.offline:
        return ok("nudge", f"By {channel}: not sent (--offline).")
    try:
        receipt = asyncio.run(_push(place) if channel == "push" else _mail(place))
    except ConfigError as error:
        return mend("nudge", error.message, error.hint)
    except ThanksdError as error:
        return mend("nudge", f"Not by {channel}: {error.message}", error.hint)
    if not receipt:
        return ok("nudge", "The push service took it." if channel == "push" else "The mail account took it.")
    return mend("nudge", receipt, f"Mend that, then: {_TRY}")


async def _push(place: Place) -> str:
    """Give "" where every service took it, else what was wrong."""
    addresses = credentials.push_reader(place.settings().nudge.push_command, place.environ)()
    return (await push.show(_TITLE, _LINE, addresses, place.environ)).error


async def _mail(place: Place) -> str:
    popup = Popup(_TITLE, _LINE, buttons=())
    receipt = (await mail.show(popup, "", None, str(place.config_file), place.environ)).receipt
    if receipt.shown:
        # A daemon, or the ledger, to whom a login was refused learns that mail leaves.
        with contextlib.suppress(ThanksdError):
            Client(place.store, str(place.config_file), lines_wanted=False).call("release", letters=False)
    return receipt.error
