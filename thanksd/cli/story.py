"""The journal in words: one line an event."""

from __future__ import annotations

from typing import Any

from thanksd.moments import from_iso, say_full

_WORDS = {
    "added": "added; nudge {nudge_at}",
    "edited": "changed",
    "rescheduled": "moved, by what is fitting for them; nudge {nudge_at}",
    "draft edited": "draft changed by hand",
    "nudged": "nudged, by {channel}",
    "opened": "opened from the popup ({button})",
    "asked": "asked whom you met, by {channel}",
    "answered": "answered: {answer}",
    "paused": "paused until {until}",
    "resumed": "the pause was ended",
    "snoozed": "snoozed until {until}",
    "waived": "not needed{reason}",
    "thanked": "thanked otherwise: {how}",
    "taken back": "taken back: {was}",
    "confirmed": "confirmed; leaves {send_after}; sha256 {sha256:.8}",
    "handed over": "to be sent in {place}",
    "overridden": "sent although blocked: {code}",
    "queued": "went back to waiting: {reason}",
    "sent": "sent: {reply}",
    "deferred": "could not leave yet: {reply}",
    "failed": "refused: {reply}",
    "stale": "could not leave in time and does not leave by itself any more; due again",
    "bounced": "came back from {to}; due again",
    "copy left": "copy to yourself: {reply}",
    "copy due": "copy to yourself did not leave yet: {reply}",
    "copy trying": "copy to yourself may have left or not: {reply}",
    "copy failed": "no copy to yourself: {reply}",
    "held": "may have arrived or not: {reply}",
    "resolved": "resolved: {how}",
    "forgotten": "a person was forgotten",
    "adopted": "held: another copy of this ledger may have sent it",
    "taken over": "the ledger was taken over, last used on {host}",
    "restored": "the ledger was put back from a copy",
    "imported": "came with an import",
    "set right": "put into a state that rules allow, by doctor --mend",
    "moved": "the ledger was moved to {to}",
    "passed on": "passed on to {to}",
    "promise kept": "promise {promise} was kept",
    "promise open": "promise {promise} is still to be kept",
    "learned": "thanked already, says {source}",
}
_TIMES = ("nudge_at", "until", "send_after")


def tell(event: dict[str, Any], zone: str) -> str:
    """Give one event in words. An event of a newer version is told by its name."""
    data = {key: _value(key, value, zone) for key, value in event["data"].items()}
    if event["what"] == "waived":
        data["reason"] = f": {data['reason']}" if data.get("reason") else ""
    if event["what"] == "sent" and data.get("reply", "").startswith("/"):
        return f"saved: {data['reply']}"
    if event["what"] == "held":
        data.setdefault("reply", data.get("reason", ""))
    return _WORDS.get(event["what"], str(event["what"])).format_map(_Missing(data))


def _value(key: str, value: object, zone: str) -> str:
    if value is None:
        return ""
    return say_full(from_iso(str(value)), zone) if key in _TIMES else str(value)


class _Missing(dict[str, str]):
    """Values for the words; one that an event lacks is left out."""

    def __missing__(self, key: str) -> str:
        return ""
