"""Writes docs/TEMPLATES.md: every note that ships, in every language and wording, with one set of facts each.

Run it after a change of a template or a language: `make templates`. A test compares the page with what the program says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import corpus

from thanksd import drafts, language, policy

PAGE = Path(__file__).resolve().parent.parent / "docs" / "TEMPLATES.md"
NAMES = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "ja": "日本語",
    "zh-hant": "繁體中文",
    "zh-hans": "简体中文",
}

HEAD = """\
# The notes that ship

Every kind of note, in every language and wording, rendered by the program from one set of made-up facts a language; made
by `make templates`. To a peer each of the three wordings is there, to somebody above you the first; then the message of
at most 200 characters and the lines for a card. What is in it was noted: place, topic, detail, promise, who introduced
you. What was not noted is not said. `thanksd draft REF --another` goes to the next wording; your own templates win over
these: `thanksd help templates`.
"""


def page() -> str:
    """Give the whole page."""
    links = " · ".join(f"[{NAMES[code]}](#{NAMES[code].lower()})" for code in policy.cultures())
    return "\n".join([HEAD, links, "", *(line for code in policy.cultures() for line in _language(code))])


def _language(code: str) -> Iterator[str]:
    sample = language.of(code).sample
    yield f"## {NAMES[code]}\n"
    yield (
        f"{sample.me} writes to {sample.person}; place: {sample.place}; topic: {sample.about}; detail: {sample.detail};"
        f" promise: {sample.promise}; introduced by {sample.via}.\n"
    )
    for kind in policy.kinds():
        yield f"### {NAMES[code]}: {kind}\n"
        yield from _kind(code, kind)
    yield f"### {NAMES[code]}: what came of an introduction\n"
    for variant in (1, 2, 3):
        known = corpus.facts("introduction", code, variant=variant, outcome=sample.other)
        yield _block(corpus.render("introduction", known))
    yield f"### {NAMES[code]}: late, after half a year, and before you meet again\n"
    again = drafts.sample_facts("coffee", code)["promises"][0]["due"]
    for changes in ({"belated": True, "days_since": 20}, {"belated": True, "days_since": 200}, {"again": again}):
        yield _block(corpus.render("coffee", corpus.facts("coffee", code, **changes)))


def _kind(code: str, kind: str) -> Iterator[str]:
    for seniority, variants in (("peer", (1, 2, 3)), ("above", (1,))):
        full = drafts.sample_facts(kind, code, seniority)
        for variant in variants:
            yield _block(corpus.render(kind, {**full, "variant": variant}))
    known = drafts.sample_facts(kind, code)
    for form in ("short", "card"):
        yield f"```\n{corpus.render(kind, known, form).body}\n```\n"


def _block(draft: drafts.Draft) -> str:
    return f"```\n{draft.subject}\n\n{draft.body}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
