"""One thanks on the page: its draft, what is known, what the check says, and every answer to it."""

from __future__ import annotations

import email.parser
import email.policy
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from thanksd import states
from thanksd.errors import DataError, ThanksdError, UsageError
from thanksd.moments import from_iso
from thanksd.page import views
from thanksd.page.visit import Visit

_WAITING = (states.DUE, states.OWED, states.SNOOZED)
_LAST_LETTERS = 3
_LATER = {"3h": "later_3h", "tomorrow 9:00": "later_tomorrow", "mon 9:00": "later_monday", "1w": "later_week"}
_HOW = ("in person", "by phone", "by card", "by message")


# --- looking ---


async def review(visit: Visit) -> Response:
    """Show one thanks: the draft to be sent, the letter on its way, or how it ended."""
    try:
        made = await visit.call("prepare", ref=str(visit.number), look=True)
    except UsageError:
        one, zone, now = await visit.one()
        if one["state"] in _WAITING:
            raise
        return visit.show("letter.html", one=views.thanks(one, visit.words, zone, now), ways=_ways(one))
    one, prepared, zone, now = made["thanks"][0], made["prepared"], made["zone"], from_iso(made["now"])
    return visit.show(
        "review.html",
        one=views.thanks(one, visit.words, zone, now),
        prepared=prepared,
        findings=views.findings(prepared["findings"], visit.words),
        marked=views.marked(prepared["body"], prepared["findings"]),
        rows=views.rows_of(prepared["body"]),
        leaves=visit.words.moment(from_iso(prepared["leaves"]), now, zone),
        later=_LATER,
        how=_HOW,
        **await _around(visit, one, zone, now),
    )


def _ways(one: dict[str, Any]) -> list[str]:
    """Give what a letter that waits for a word of its owner can be: one that was handed over is not sent from here."""
    if not one["letter"] or one["letter"]["state"] != states.HELD:
        return []
    return ["sent", "discard"] if one["letter"]["reason"] == states.HANDED_OFF else ["sent", "resend", "discard"]


async def _around(visit: Visit, one: dict[str, Any], zone: str, now: datetime) -> dict[str, Any]:
    """Give what they care about, and the last letters they got with their texts, the newest first."""
    found = await visit.call("person", who=str(one["person"]["id"]))
    sent = [
        each for each in found["thanks"] if each["letter"] and each["letter"]["sent_at"] and each["id"] != one["id"]
    ]
    newest = sorted(sent, key=lambda each: str(each["letter"]["sent_at"]), reverse=True)[:_LAST_LETTERS]
    before = [
        views.letter(each["letter"], visit.words, zone, now) | {"body": await _body_of(visit, each["id"])}
        for each in newest
    ]
    return {"before": before, "interests": found["people"][0]["interests"]}


async def _body_of(visit: Visit, number: int) -> str:
    raw = (await visit.call("letter_text", ref=str(number)))["letter_text"]
    message = email.parser.Parser(policy=email.policy.default).parsestr(raw)
    return str(message.get_content())


async def letter(visit: Visit) -> Response:
    """Show the letter of a thanks byte for byte, as it is or was handed over."""
    one, zone, now = await visit.one()
    raw = (await visit.call("letter_text", ref=str(visit.number)))["letter_text"]
    return visit.show("bytes.html", one=views.thanks(one, visit.words, zone, now), raw=raw)


async def check(visit: Visit) -> Response:
    """Say what the check finds in a text that is being typed, as JSON; nothing is stored."""
    subject, body = visit.form.get("subject", ""), _plain(visit.form.get("body", ""))
    found = (await visit.call("check", ref=str(visit.number), subject=subject, body=body))["findings"]
    shown = visit.show("findings.html", findings=views.findings(found, visit.words))
    marks = str(views.marked(body, found))
    return JSONResponse({"findings": bytes(shown.body).decode(), "marked": marks})


# --- writing ---


def _plain(text: str) -> str:
    """Give a form's text with the ends of its lines as we have them (HTML: forms send CR LF)."""
    return text.replace("\r\n", "\n").rstrip()


def _typed(visit: Visit) -> tuple[str, str]:
    return visit.field("subject"), _plain(visit.form.get("body", ""))


async def save(visit: Visit) -> Response:
    """Keep the text as it was typed."""
    subject, body = _typed(visit)
    await visit.call("draft", ref=str(visit.number), subject=subject, body=body)
    visit.say(visit.words("saved"))
    return visit.go(f"/thanks/{visit.number}")


async def another(visit: Visit) -> Response:
    """Take another wording."""
    await visit.call("draft", ref=str(visit.number), another=True)
    return visit.go(f"/thanks/{visit.number}")


async def facts(visit: Visit) -> Response:
    """Note the address, the details or the language, as far as they were given."""
    given: dict[str, object] = {name: visit.field(name) for name in ("email", "lang", "place", "about")}
    given = {name: value for name, value in given.items() if value}
    if details := visit.lines("details"):
        given["details"] = details
    try:
        found = await visit.call("edit", ref=str(visit.number), **given)
        visit.say(*found["notes"])
    except (UsageError, DataError) as error:
        visit.say_error(error)
    return visit.go(f"/thanks/{visit.number}")


# --- sending ---


async def send(visit: Visit) -> Response:
    """Confirm the letter: exactly the text that stands on the page, and only where nothing new is to be said of it."""
    sha256 = await _as_shown(visit, _typed(visit))
    if not sha256:
        return await review(visit)
    letters = [{"thanks": visit.number, "sha256": sha256}]
    try:
        result = await visit.call("confirm", letters=letters, overrides=visit.field("override").split())
    except ThanksdError as error:
        # The text is kept by now: it stands in the form again, and what went wrong above it.
        visit.say_error(error)
        return await review(visit)
    if result["handed"]:
        return visit.show("handed.html", one=result["handed"][0], number=visit.number)
    return visit.go(f"/thanks/{visit.number}")


# What the page showed of a letter, and the form brings back.
_SHOWN = ("to", "from", "by")


async def _as_shown(visit: Visit, typed: tuple[str, str]) -> str:
    """Build the letter that was shown, with the text as it was typed, and give its sha256; "" to look at it again.

    That is: it goes to another address than the page said, or leaves otherwise; the stored text is not what was typed;
    or the check says something of it that was not on the page.
    """
    ref, seen = str(visit.number), set(visit.field("seen").split())
    now = (await visit.call("prepare", ref=ref))["prepared"]
    if _text_of(now) != typed:
        await visit.call("draft", ref=ref, subject=typed[0], body=typed[1])
        now = (await visit.call("prepare", ref=ref))["prepared"]
    new = {one["code"] for one in now["findings"] if one["severity"] != "hint"} - seen
    if _text_of(now) != typed or any((now[name] or "") != visit.field(name) for name in _SHOWN) or new:
        visit.say(visit.words("look_again"))
    elif now["transport"] == "eml":
        visit.say(visit.words("by_terminal", number=visit.number))
    elif now["sha256"] is None:
        visit.say(visit.words(f"missing_{now['missing'] or 'address'}"))
    else:
        return str(now["sha256"])
    return ""


def _text_of(prepared: dict[str, Any]) -> tuple[str, str]:
    return str(prepared["subject"]), str(prepared["body"]).rstrip()


async def leave_now(visit: Visit) -> Response:
    """End the hold: the letter may leave at once."""
    await visit.call("leave_now", thanks=[visit.number])
    return visit.go(f"/thanks/{visit.number}")


async def undo(visit: Visit) -> Response:
    """Take back a letter that waits, or the last answer."""
    try:
        visit.say(*(await visit.call("undo", ref=str(visit.number)))["notes"])
    except UsageError as error:
        visit.say_error(error)
    return visit.go(f"/thanks/{visit.number}")


async def resolve(visit: Visit) -> Response:
    """Say what became of a held letter, or that one came back."""
    how = visit.field("how")
    if how == "bounced":
        result = await visit.call("bounced", ref=str(visit.number), email=visit.field("email"))
    else:
        result = await visit.call("resolve", ref=str(visit.number), how=how)
    visit.say(*result["notes"])
    return visit.go(f"/thanks/{visit.number}")


# --- answering without a letter ---


async def later(visit: Visit) -> Response:
    """Be reminded later."""
    result = await visit.call("snooze", ref=str(visit.number), delay=visit.field("delay"))
    return _answered(visit, "done_later", result)


async def waive(visit: Visit) -> Response:
    """Decide not to thank."""
    return _answered(
        visit, "done_waive", await visit.call("waive", ref=str(visit.number), reason=visit.field("reason"))
    )


async def done(visit: Visit) -> Response:
    """Note that they were thanked otherwise."""
    return _answered(visit, "done_done", await visit.call("done", ref=str(visit.number), how=visit.field("how")))


def _answered(visit: Visit, key: str, result: dict[str, Any]) -> Response:
    visit.say(visit.words(key, name=result["thanks"][0]["person"]["name"]), *result["notes"])
    return visit.go(f"/thanks/{visit.number}")
