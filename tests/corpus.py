"""What the tests of notes share: facts to combine in each language, and the labelled corpus (tests/notes/CODE.toml)."""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from thanksd import drafts, language, policy
from thanksd.facts import Around, Facts, fitting

NOBODY = Path("/nonexistent/templates")
# Combinations of facts of each kind in each language that `make test` renders; `make matrix` takes all.
SOME = 5
FOLDER = Path(__file__).with_name("notes")


@cache
def sheet(lang: str) -> dict[str, Any]:
    """Give a language's own facts and notes, as they stand in its file."""
    return tomllib.loads((FOLDER / f"{lang}.toml").read_text(encoding="utf-8"))


def facts(kind: str, lang: str, **changes: Any) -> Facts:
    """Give the made-up facts of a kind in a language, with nothing but a detail besides, and then these changes."""
    seniority = changes.pop("seniority", "peer")
    made: Any = drafts.sample_facts(kind, lang, seniority)
    # What a note in the corpus does not say of its meeting is the same for all kinds.
    sample = language.of(lang).sample
    made |= {"others": [], "via": "", "promises": [], "details": [sample.detail]}
    made["meeting"] |= {"place": sample.place, "about": sample.about}
    for key, value in changes.items():
        if key in ("place", "about", "weekday", "date"):
            made["meeting"] = {**made["meeting"], key: value}
        elif key == "name":
            made["person"] = {**made["person"], "name": value}
        elif key == "signature":
            made["me"] = {**made["me"], "signature": value}
        elif key == "promises" and value and isinstance(value[0], str):
            made["promises"] = [{"text": text, "due": ""} for text in value]
        else:
            made[key] = value
    made["fitting"] = fitting(policy.rule(kind, lang, seniority), made["person"]["name"])
    result: Facts = made
    return result


def render(kind: str, known: Facts, form: str = "note") -> drafts.Draft:
    """Render a note in the wording that its facts name."""
    name = drafts.Wording(kind, known["variant"]).name
    return drafts.render(name, known, known["person"]["lang"], NOBODY, form)


def axes(lang: str) -> dict[str, list[Any]]:
    """Give what a note may know, and each of the forms it may have in a language."""
    own = sheet(lang)
    due = drafts.sample_facts("coffee", lang)["promises"][0]["due"]
    promises = [[], *([{"text": text, "due": due if place % 2 else ""}] for place, text in enumerate(own["promises"]))]
    promises.append([{"text": text, "due": due} for text in own["promises"][:2]])
    return {
        "details": [*([one] for one in own["details"]), own["details"][:3], own["details"][:2]],
        "promises": promises,
        "place": ["", *own["places"]],
        "about": ["", *own["abouts"]],
        "seniority": list(policy.SENIORITIES),
        "belated": [False, True],
        "days_since": [0, 6, 7, 400],
        "variant": [1, 2, 3],
        "via": ["", own["people"][0]],
        "others": [[], own["people"][:1], own["people"][:3]],
        "again": ["", due],
        "pass_on": [[], own["people"][1:2], own["people"][1:]],
        "name": own["names"],
    }


def changes(lang: str) -> list[dict[str, Any]]:
    """Give what each combination changes: every pair of values meets, as a full product would only be slow."""
    of = axes(lang)
    found = [
        {one: left, other: right}
        for one, other in itertools.combinations(of, 2)
        for left, right in itertools.product(of[one], of[other])
    ]
    full, bare = ({key: values[place] for key, values in of.items()} for place in (-1, 0))
    return [*found, full, bare, {**bare, "weekday": "", "date": ""}]


def combinations(kind: str, lang: str, some: int = 0, seed: str = "") -> Iterator[Facts]:
    """Give the facts of every combination, or of `some` of them, drawn by the seed."""
    every = changes(lang)
    drawn = random.Random(seed).sample(every, some) if some else every  # noqa: S311  no secret
    yield from (facts(kind, lang, **one) for one in drawn)


def count(lang: str) -> int:
    """Say how many combinations there are of one kind."""
    return len(changes(lang))


class Sample(NamedTuple):
    """A note of the corpus: what a person wrote, about what, and the codes of the findings it deserves."""

    lang: str
    label: str
    subject: str
    body: str
    known: Facts
    around: Around
    codes: frozenset[str]


def languages() -> tuple[str, ...]:
    """Give the languages that notes are written in."""
    return policy.cultures()


def samples(lang: str, *, others: bool = False) -> Iterator[Sample]:
    """Give a language's labelled notes: those that patterns and thresholds were chosen on, or the `others`.

    The others are by people who saw neither the patterns nor these notes. Words that may date the meeting are labelled;
    those of the writer's own news, which the meeting can't be of, are not ("this morning", of a meeting last week).
    """
    for note in sheet(f"others/{lang}" if others else lang)["note"]:
        changes = {key: note[key] for key in _CHANGES if key in note}
        known = facts(note.get("kind", "coffee"), lang, **changes)
        acquaintances, earlier, panel, interests = (
            tuple(note.get(key, ())) for key in ("acquaintances", "earlier", "panel", "interests")
        )
        around = Around(acquaintances, earlier, panel, interests)
        text = note["subject"], note["body"].strip()
        yield Sample(lang, note["label"], *text, known, around, frozenset(note["findings"]))


_CHANGES = (
    "name",
    "seniority",
    "details",
    "place",
    "about",
    "promises",
    "others",
    "via",
    "weekday",
    "date",
    "days_since",
    "signature",
)
