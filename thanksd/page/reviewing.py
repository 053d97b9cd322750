"""One thanks on the page: its draft, what is known, what the check says, and every answer to it."""

from __future__ import annotations

import email.parser
import email.policy
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from thanksd import letters, states
from thanksd.errors import DataError, ThanksdError, UsageError
from thanksd.moments import from_iso
from thanksd.page import views
from thanksd.page.visit import Visit, page
from thanksd.verbs.writing import BODY_LIMIT, SUBJECT_LIMIT

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
        return _letter_page(visit, one, zone, now)
    one, prepared, zone, now = made["thanks"][0], made["prepared"], made["zone"], from_iso(made["now"])
    return visit.show(
        "review.html",
        one=views.thanks(one, visit.words, zone, now),
        prepared=prepared,
        base=views.digest(prepared["subject"], prepared["body"]),
        findings=views.findings(prepared["findings"], visit.words),
        marked=views.marked(prepared["body"], prepared["findings"]),
        rows=views.rows_of(prepared["body"]),
        leaves=visit.words.moment(from_iso(prepared["leaves"]), now, zone),
        later=_LATER,
        how=_HOW,
        dropped=visit.session.dropped.pop(visit.number, ""),
        given=visit.session.given.pop(visit.number, {"email": "", "detail": ""}),
        **await _around(visit, one, zone, now),
    )


def _letter_page(visit: Visit, one: dict[str, Any], zone: str, now: datetime) -> Response:
    """Show a letter on its way, or how a thanks ended; of a colleague's there is nothing to press."""
    is_mine = visit.is_mine(one)
    return visit.show(
        "letter.html",
        one=views.thanks(one, visit.words, zone, now),
        ways=_ways(one) if is_mine else [],
        is_mine=is_mine,
        handed=visit.session.handed.get(visit.number),
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
        views.letter(each["letter"], visit.words, zone, now)
        | {"body": await _body_of(visit, each["id"]), "owner": "" if visit.is_mine(each) else each["owner"]}
        for each in newest
    ]
    return {"before": before, "interests": found["people"][0]["interests"]}


async def _body_of(visit: Visit, number: int) -> str:
    raw = (await visit.call("letter_text", ref=str(number)))["letter_text"]
    message = email.parser.Parser(policy=email.policy.default).parsestr(raw)
    try:
        return str(message.get_content())
    except (LookupError, ValueError):
        # Of another program's making, taken in with another ledger.
        return str(raw)


async def letter(visit: Visit) -> Response:
    """Show the letter of a thanks byte for byte, as it is or was handed over."""
    one, zone, now = await visit.one()
    raw = (await visit.call("letter_text", ref=str(visit.number)))["letter_text"]
    return visit.show("bytes.html", one=views.thanks(one, visit.words, zone, now), raw=raw)


async def check(visit: Visit) -> Response:
    """Say what the check finds in a text that is being typed, as JSON; nothing is stored."""
    subject, body = _typed(visit)
    found = (await visit.call("check", ref=str(visit.number), subject=subject, body=body))["findings"]
    # Not by visit.show: what is to be said on the next page waits for that.
    shown = page("findings.html", visit.words, findings=views.findings(found, visit.words))
    marks = str(views.marked(body, found))
    return JSONResponse({"findings": bytes(shown.body).decode(), "marked": marks})


# --- writing ---


def _typed(visit: Visit) -> tuple[str, str]:
    """Give subject and text as they would be stored. Raises DataError for what can't be."""
    subject = letters.clean_line(visit.form.get("subject", ""), SUBJECT_LIMIT)
    return subject, letters.clean_body(visit.form.get("body", ""), BODY_LIMIT)


async def _store(visit: Visit, now: dict[str, Any], typed: tuple[str, str]) -> None:
    """Keep the text as it was typed, unless another one was stored since the page was shown.

    Raises UsageError then: what was typed is given back, and nothing of the other is lost.
    """
    if typed == (now["subject"], now["body"]):
        return
    if views.digest(now["subject"], now["body"]) != visit.field("base"):
        raise UsageError(visit.words("changed_elsewhere"))
    await visit.call("draft", ref=str(visit.number), subject=typed[0], body=typed[1])


async def _keep(visit: Visit) -> None:
    """Keep what somebody typed before pressing another button; what nobody touched may have changed meanwhile."""
    typed = _typed(visit)
    if "body" in visit.form and views.digest(*typed) != visit.field("base"):
        await _store(visit, (await visit.call("prepare", ref=str(visit.number), look=True))["prepared"], typed)


async def save(visit: Visit) -> Response:
    """Keep the text as it was typed."""
    now = (await visit.call("prepare", ref=str(visit.number), look=True))["prepared"]
    await _store(visit, now, _typed(visit))
    visit.say(visit.words("saved"))
    return visit.go(f"/thanks/{visit.number}")


async def another(visit: Visit) -> Response:
    """Take another wording; the text that stood there is shown once more on the next page."""
    visit.session.dropped[visit.number] = visit.form.get("body", "")
    await visit.call("draft", ref=str(visit.number), another=True)
    return visit.go(f"/thanks/{visit.number}")


async def facts(visit: Visit) -> Response:
    """Note what was given, as far as it differs from what is known; a `detail` is added to those there are."""
    await _keep(visit)
    one, _, _ = await visit.one()
    known = {"email": one["person"]["email"], "lang": one["person"]["lang"]}
    given: dict[str, object] = {
        name: value for name in known if (value := visit.field(name)) and value != (known[name] or "")
    }
    details = [*(visit.lines("details") or one["details"]), *filter(None, [visit.field("detail")])]
    if details != one["details"]:
        given["details"] = details
    try:
        found = await visit.call("edit", ref=str(visit.number), **given)
        visit.say(*found["notes"])
    except (UsageError, DataError) as error:
        visit.say_error(error)
        visit.session.given[visit.number] = {name: visit.field(name) for name in ("email", "detail")}
    return visit.go(f"/thanks/{visit.number}")


# --- sending ---


async def send(visit: Visit) -> Response:
    """Confirm the letter: exactly the text that stands on the page, and only where nothing new is to be said of it.

    It answers by the thanks' own page in any case: pressed twice, the second press shows the letter on its way.
    """
    here = f"/thanks/{visit.number}"
    if await _is_confirmed(visit):
        return visit.go(here)
    try:
        sha256 = await _as_shown(visit, _typed(visit))
        if sha256:
            await _confirm(visit, sha256)
    except ThanksdError as error:
        if await _is_confirmed(visit):
            return visit.go(here)
        if not await _is_kept(visit):
            raise
        visit.say_error(error)
    return visit.go(here)


async def _is_confirmed(visit: Visit) -> bool:
    return (await visit.one())[0]["state"] not in _WAITING


async def _is_kept(visit: Visit) -> bool:
    """Say whether the text that was typed is the one that is stored: then the next page has it."""
    now = (await visit.call("prepare", ref=str(visit.number), look=True))["prepared"]
    return (now["subject"], now["body"]) == _typed(visit)


async def _confirm(visit: Visit, sha256: str) -> None:
    shown = [{"thanks": visit.number, "sha256": sha256}]
    result = await visit.call("confirm", letters=shown, overrides=visit.field("override").split())
    for handed in result["handed"]:
        visit.session.handed[visit.number] = handed


async def _as_shown(visit: Visit, typed: tuple[str, str]) -> str:
    """Build the letter that was shown, with the text as it was typed, and give its sha256; "" to look at it again.

    That is: it goes to another name or address than the page said, or leaves otherwise; or the check says something of
    it that was not on the page.
    """
    ref, seen = str(visit.number), set(visit.field("seen").split())
    made = await visit.call("prepare", ref=ref)
    if (made["prepared"]["subject"], made["prepared"]["body"]) != typed:
        await _store(visit, made["prepared"], typed)
        made = await visit.call("prepare", ref=ref)
    now = made["prepared"]
    new = {one["code"] for one in now["findings"] if one["severity"] != "hint"} - seen
    is_same = all(str(made_of) == visit.form.get(name, "") for name, made_of in _shown_of(made).items())
    blocked = {one["code"] for one in now["findings"] if one["severity"] == "block"}
    if not is_same or new:
        visit.say(visit.words("look_again"))
    elif blocked - set(visit.field("override").split()):
        visit.say(visit.words("blocked"))
    elif now["transport"] == "eml":
        visit.say(visit.words("by_terminal", number=visit.number))
    elif now["sha256"] is None:
        visit.say(visit.words(f"missing_{now['missing']}" if now["missing"] else "look_again"))
    else:
        return str(now["sha256"])
    return ""


def _shown_of(made: dict[str, Any]) -> dict[str, object]:
    """Give what the page shows of a letter beside its text, and the form brings back."""
    now = made["prepared"]
    names = ("to", "from", "by", "transport", "hold")
    return {name: "" if now[name] is None else now[name] for name in names} | {
        "shown_name": made["thanks"][0]["person"]["name"]
    }


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
    await _keep(visit)
    result = await visit.call("snooze", ref=str(visit.number), delay=visit.field("delay"))
    one, zone, now = await visit.one()
    until = visit.words.moment(from_iso(one["nudge_at"]), now, zone)
    return _answered(visit, "done_later", result, when=until)


async def waive(visit: Visit) -> Response:
    """Decide not to thank."""
    await _keep(visit)
    return _answered(
        visit, "done_waive", await visit.call("waive", ref=str(visit.number), reason=visit.field("reason"))
    )


async def done(visit: Visit) -> Response:
    """Note that they were thanked otherwise."""
    await _keep(visit)
    return _answered(visit, "done_done", await visit.call("done", ref=str(visit.number), how=visit.field("how")))


def _answered(visit: Visit, key: str, result: dict[str, Any], **values: str) -> Response:
    visit.say(visit.words(key, name=result["thanks"][0]["person"]["name"], **values), *result["notes"])
    return visit.go(f"/thanks/{visit.number}")
