"""Nudges on a phone, by Apprise: the extra `thanksd[push]`, which knows some hundred services by their addresses.

An address holds the service's token. It comes from the keyring or a command, and is in no message of ours: what
Apprise says of a failure is read for what kind it is, and not passed on.

Apprise is loaded by a child alone, `python -m thanksd.channels.push`: it is bigger than all of the daemon.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
from collections.abc import Mapping
from typing import Any

from thanksd.channels import Popup, Receipt
from thanksd.channels.helper import ask, serve
from thanksd.errors import ConfigError, UnavailableError

LIMIT = 20.0  # seconds for a service; each has a child of its own, as one that hangs must not keep what others took
DETAILS, NAMES = "details", "names"
INSTALL = "Install it: make install EXTRAS=push (with pipx: pipx inject thanksd apprise)"

_STATUS = re.compile(r"error=(\d{3})\b")
# As Apprise reads addresses: what else may stand before a :// is no service's name, and may be a secret.
_SCHEMA = re.compile(r"([a-z0-9]{1,32})://", re.IGNORECASE)


def check_library() -> None:
    """See that Apprise is there, which is an extra. Raises ConfigError."""
    if importlib.util.find_spec("apprise") is None:
        raise ConfigError("What speaks to a phone (Apprise) is not installed. Nothing was sent.", INSTALL)


def words(popup: Popup, phone: str) -> tuple[str, str]:
    """Give the title and the line for a phone; with `phone` "names" nothing of the meeting or the note."""
    line = " ".join(popup.body.split("\n")) if phone == DETAILS else popup.brief
    return popup.title, "\n".join(filter(None, (line or popup.fallback, popup.note)))


async def show(title: str, line: str, addresses: str, environ: Mapping[str, str]) -> Receipt:
    """Send a nudge to the phone at these addresses (with spaces between), and say what became of it.

    Shown is what one of the services took; where others did not, `error` says so. Never raises for a service that
    fails. Raises ConfigError without Apprise.
    """
    check_library()
    services = await asyncio.gather(*(_show(title, line, address, environ) for address in addresses.split()))
    failed = " ".join(dict.fromkeys(one["error"] for one in services if one["error"]))
    return Receipt(shown=any(one["shown"] for one in services), popup_id=0, server="", error=failed)


async def _show(title: str, line: str, address: str, environ: Mapping[str, str]) -> dict[str, Any]:
    request = {"addresses": [address], "title": title, "line": line}
    try:
        (said,) = (await ask(__name__, request, LIMIT, environ))["services"]
    except UnavailableError as error:
        return {"shown": False, "error": f"The push service ({_name(address)}): {error.message}"}
    return {"shown": bool(said["shown"]), "error": str(said["error"])}


def _name(address: str) -> str:
    """Give which service an address is of: a word, and no secret; "" where it is none."""
    found = _SCHEMA.match(address)
    return found[1].lower() if found else ""


async def names(addresses: str, environ: Mapping[str, str]) -> list[str]:
    """Give which services these addresses are of, such as ["ntfys"]; nothing is sent.

    Raises ConfigError where one is none that Apprise knows, or Apprise is not there; UnavailableError.
    """
    check_library()
    said = (await ask(__name__, {"addresses": addresses.split()}, LIMIT, environ))["services"]
    if not said or any(one["error"] for one in said):
        raise ConfigError(
            f"Of {len(said)} address(es) not every one is one that Apprise knows. Nothing was stored.",
            "See how they are written: https://github.com/caronc/apprise/wiki",
        )
    return [one["name"] for one in said]


# --- in the child ---


def _act(request: dict[str, Any]) -> dict[str, Any]:
    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(heard)
    return {"services": [_one(address, request, heard) for address in request["addresses"]]}


def _one(address: str, request: Mapping[str, Any], heard: _Heard) -> dict[str, Any]:
    """Send to one address, or without a title only look what it is: {"name", "shown", "error"}."""
    import apprise  # noqa: PLC0415  an extra, and the child's alone

    service, name = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False)), _name(address)
    if not name or not service.add(address):
        return {"name": "", "shown": False, "error": "A push address is none that Apprise knows."}
    if "title" not in request:
        return {"name": name, "shown": False, "error": ""}
    heard.lines.clear()
    shown = bool(service.notify(title=request["title"], body=request["line"], body_format=apprise.NotifyFormat.TEXT))
    return {"name": name, "shown": shown, "error": "" if shown else f"The push service ({name}) {heard.kind()}."}


class _Heard(logging.Handler):
    """What Apprise says while it sends."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())

    def kind(self) -> str:
        """Say in words of ours what was wrong: theirs may quote a token."""
        said = " ".join(self.lines)
        if status := _STATUS.search(said):
            return f"answered {status[1]}"
        return "could not be reached" if "onnection error" in said else "did not take it"


if __name__ == "__main__":
    from thanksd.sealing import seal

    seal()
    serve(_act, LIMIT)
