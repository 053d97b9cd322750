"""The shipped templates: every one is a good note, whatever is known and whatever is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanksd import drafts, etiquette, paths, phrases, policy
from thanksd.facts import GAP, Facts, fitting

NOBODY = Path("/nonexistent/templates")
FOLDER = paths.data_folder("templates") / "en"
KINDS = sorted(policy.kinds())

PROMISES: list[list[dict[str, str]]] = [
    [],
    [{"text": "send the compiler paper", "due": "Friday, 14 March"}],
    [{"text": "the compiler paper", "due": "Friday"}],
    [{"text": "link to the talk", "due": ""}, {"text": "I will write to Grace.", "due": "Monday"}],
    [{"text": "an introduction to Tom", "due": ""}, {"text": "review the draft", "due": "Friday"},
     {"text": "my notes", "due": "Friday"}],
]  # fmt: skip


def facts(kind: str, **changes: Any) -> Facts:
    made: Any = drafts.sample_facts(kind)
    made |= {"others": [], "via": "", "promises": [], "details": ["why you left Rust"]}
    for key, value in changes.items():
        if key in ("place", "about", "weekday", "date"):
            made["meeting"] = {**made["meeting"], key: value}
        elif key == "seniority":
            made["person"] = {**made["person"], key: value}
        else:
            made[key] = value
    made["fitting"] = fitting(policy.rule(kind, "en", made["person"]["seniority"]), made["person"]["name"])
    result: Facts = made
    return result


def render(kind: str, known: Facts) -> drafts.Draft:
    return drafts.render(drafts.Wording(kind, known["variant"]).name, known, "en", NOBODY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_usual_note_has_the_length_people_like(kind: str) -> None:
    for changes in ({}, {"place": "", "about": ""}, {"promises": PROMISES[1]}, {"belated": True}):
        known = facts(kind, **changes)
        assert 45 <= etiquette.word_count(render(kind, known).body, known) <= 110


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_that_is_not_known(kind: str) -> None:
    known = facts(kind, place="", about="", weekday="", date="")
    draft = render(kind, known)
    text = f"{draft.subject} {draft.body}"
    assert not re.search(
        r"\b(?:at|in|on) [A-ZÀ-Ž0-9]|map collection|Einstein|Tuesday|March|Grace|O'Neil|promise|late\b", text
    ), text


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_is_known_and_fits_is_said(kind: str) -> None:
    known = facts(kind, promises=PROMISES[1], place="Café Einstein", about="the compiler team", via="Tom O'Neil")
    body = render(kind, known).body
    said = [
        "why you left Rust",
        "the compiler paper by Friday, 14 March, as promised",
        "compiler team",
        "Tom O'Neil",
        "on Tuesday",
    ]
    if kind not in ("referral", "reference", "donation"):  # these happen nowhere
        said.append("at Café Einstein")
    assert [words for words in said if words not in body] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("days", "day"), [(0, "Tuesday"), (6, "Tuesday"), (7, "11 March")])
def test_the_day_is_a_weekday_for_six_days_and_a_date_after(kind: str, days: int, day: str) -> None:
    draft = render(kind, facts(kind, days_since=days))
    other = {"Tuesday": "11 March", "11 March": "Tuesday"}[day]
    assert f"on {day}" in draft.body
    # What is done for somebody is known without its day.
    if kind not in ("referral", "gift", "donation", "reference"):
        assert draft.subject.endswith(f"on {day}")
    assert other not in draft.body


@pytest.mark.parametrize("kind", KINDS)
def test_greeting_and_closing_follow_seniority(kind: str) -> None:
    peer, above = (render(kind, facts(kind, seniority=one)).body for one in ("peer", "above"))
    assert peer.startswith("Dear Ada,\n\n")
    assert peer.endswith("\n\nWith best wishes,\nSam Lee")
    assert above.startswith("Dear Ada Lovelace,\n\n")
    assert above.endswith("\n\nWith kind regards,\nSam Lee")


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_note_says_so_once_at_the_front_and_makes_no_excuses(kind: str) -> None:
    body = render(kind, facts(kind, belated=True)).body
    assert body.split("\n\n")[1] == "You should have had this note sooner."
    assert not re.search(r"sorry|apolog|because|busy", body, re.IGNORECASE)


def test_a_signature_of_several_lines_stands_as_it_is_and_the_name_stands_in_for_none() -> None:
    me = {"name": "Sam Lee", "email": "sam@example.com", "signature": "Sam Lee\r\nCompilers & Co.\tBerlin"}
    assert render("coffee", facts("coffee", me=me)).body.endswith("wishes,\nSam Lee\nCompilers & Co.\tBerlin")
    assert render("coffee", facts("coffee", me=me | {"signature": ""})).body.endswith("wishes,\nSam Lee")


def test_a_person_without_a_name_is_a_gap() -> None:
    person = {"name": "", "email": "ada@example.com", "lang": "en", "seniority": "peer"}
    assert render("coffee", facts("coffee", person=person)).body.startswith(f"Dear {GAP},")


def test_the_coffee_note_reads_like_this() -> None:
    known = facts("coffee", about="compilers", promises=[{"text": "the compiler paper", "due": "Friday"}])
    assert render("coffee", known) == drafts.Draft(
        "Thank you for the coffee on Tuesday",
        "Dear Ada,\n\n"
        "Thank you for the coffee at Café Einstein on Tuesday, and for the time you took to talk about compilers. "
        "I keep thinking about why you left Rust.\n\n"
        "You must have had plenty else to do, and it was kind of you to fit me in. "
        "You were generous with your thoughts, too, and none of it was lost on me.\n\n"
        "You will have the compiler paper by Friday, as promised.\n\n"
        "With best wishes,\nSam Lee",
        "coffee",
    )


def test_there_is_a_template_for_every_kind_and_each_says_what_it_is_for() -> None:
    found = drafts.available("en", NOBODY)
    assert [info.name for info in found] == KINDS
    assert all(info.description for info in found)
    for info in found:
        assert info.path.read_text(encoding="utf-8").startswith("{# description: ")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[!_]*.j2")), ids=lambda path: path.name)
def test_every_shipped_template_passes_templates_check(path: Path) -> None:
    assert drafts.check(path, NOBODY) == []


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ("your compiler talk", "I keep thinking about your compiler talk."),
        ("why you left Rust", "I keep thinking about why you left Rust."),
        ("Why you left Rust.", "I keep thinking about why you left Rust."),
        ("Rust", "I keep thinking about Rust."),
        ("... about the printer", "I keep thinking about the printer."),
        ("I keep thinking about the printer...", "I keep thinking about the printer."),
        ("the way you explained lifetimes", "I keep thinking about the way you explained lifetimes."),
        ("that you answer every letter", "What stands out is that you answer every letter."),
        ("That the team answers letters.", "What stands out is that the team answers letters."),
        ("that trick with lifetimes", "One thing has stayed with me: that trick with lifetimes."),
        ("your talk helped me see it", "One thing has stayed with me: your talk helped me see it."),
        ("the speed of your red fixed-size talk", "I keep thinking about the speed of your red fixed-size talk."),
        ("your team agreed with it", "One thing has stayed with me: your team agreed with it."),
        ("to write tests first", "One thing has stayed with me: to write tests first."),
        ("why did you leave Rust?", "One thing has stayed with me: why did you leave Rust?"),
        ("You showed me the trick.", "You showed me the trick. I have thought about that since."),
        ("you showed me the trick", "You showed me the trick. I have thought about that since."),
        (
            "The book you lent me changed my mind.",
            "The book you lent me changed my mind. I have thought about that since.",
        ),
        ("eBPF is fun!", "eBPF is fun! I have thought about that since."),
        ("i liked your slides", "I liked your slides. I have thought about that since."),
        ('you said "test first."', 'You said "test first." I have thought about that since.'),
    ],
)
def test_a_detail_of_any_form_becomes_a_right_sentence(detail: str, sentence: str) -> None:
    assert phrases.remembered([detail]) == sentence


def test_several_details_are_said_form_by_form() -> None:
    assert (
        phrases.remembered(["why you left Rust", "your talk"])
        == "I keep thinking about why you left Rust, and about your talk."
    )
    assert phrases.remembered(["You sang.", "Rust", "C", "that you care", "to be kind", "write tests"]) == (
        "I keep thinking about Rust, and about C. What stands out is that you care. "
        "And two more things: to be kind; write tests. You sang. I have thought about that since."
    )


@given(st.lists(st.text(max_size=60), max_size=5), st.text(max_size=60), st.text(max_size=40))
@settings(deadline=None)
def test_no_text_at_all_breaks_a_phrase(details: list[str], promise: str, place: str) -> None:
    assert phrases.remembered(details)
    phrases.promised([{"text": promise, "due": place}])
    phrases.at_place(place)
    phrases.topic(promise)
    phrases.thing(promise)
    phrases.label(promise)


@pytest.mark.parametrize(
    ("text", "due", "sentence"),
    [
        ("the compiler paper", "Friday", "You will have the compiler paper by Friday, as promised."),
        ("The compiler paper.", "", "You will have the compiler paper, as promised."),
        ("send the compiler paper", "Friday", "I will send the compiler paper by Friday, as promised."),
        ("I'll send you the paper", "", "I will send you the paper, as promised."),
        ("to write to Tom by Friday", "Friday", "I will write to Tom by Friday, as promised."),
        ("review the draft", "", "I will review the draft, as promised."),
        ("review of the draft", "", "My promise to you stands: review of the draft."),
        ("link to the talk", "Monday", "My promise to you stands: link to the talk, by Monday."),
        ("Email Grace", "", "I will email Grace, as promised."),
    ],
)
def test_a_promise_is_said_right_as_a_thing_or_as_a_deed(text: str, due: str, sentence: str) -> None:
    assert phrases.promised([{"text": text, "due": due}]) == sentence


def test_further_promises_are_said_as_such_and_none_is_nothing() -> None:
    made: Any = [
        {"text": text, "due": ""} for text in ("the paper", "send the slides", "my notes", "link to it", " . ")
    ]
    assert phrases.promised(made) == (
        "You will have the paper, as promised. I will also send the slides. "
        "You will also have my notes. My other promise to you stands as well: link to it."
    )
    assert phrases.promised([]) == ""


@pytest.mark.parametrize(
    ("place", "phrase"),
    [
        ("", ""),
        ("Café Einstein", " at Café Einstein"),
        ("The office.", " at the office"),
        ("At the office", " at the office"),
        ("in Berlin", " in Berlin"),
        ("Online", " online"),
        ("Zoom", " on Zoom"),
        ("the phone", " on the phone"),
    ],
)
def test_a_place_gets_the_word_that_fits(place: str, phrase: str) -> None:
    assert phrases.at_place(place) == phrase


@pytest.mark.parametrize(
    ("about", "topic", "thing", "label"),
    [
        ("compilers", "compilers", "", "compilers"),
        (
            "The compiler engineer role",
            "the compiler engineer role",
            "the compiler engineer role",
            "compiler engineer role",
        ),
        ("Grace Hopper", "Grace Hopper", "Grace Hopper", "Grace Hopper"),
        ("about my career", "my career", "my career", "career"),
        ("why you left Rust", "why you left Rust", "", ""),
        ("senior engineer in the compiler team", "senior engineer in the compiler team", "", ""),
        ("very big and long and heavy compilers", "very big and long and heavy compilers", "", ""),
        ("two big red books", "two big red books", "two big red books", "big red books"),
        ("six seven eight nine ten", "six seven eight nine ten", "", ""),
        ("you said it", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_a_topic_is_said_only_where_it_fits(about: str, topic: str, thing: str, label: str) -> None:
    assert (phrases.topic(about), phrases.thing(about), phrases.label(about)) == (topic, thing, label)


def test_people_are_listed() -> None:
    assert phrases.people([]) == ""
    assert phrases.people(["Grace", " "]) == "Grace"
    assert phrases.people(["Grace", "Tom"]) == "Grace and Tom"
    assert phrases.people(["Grace", "Tom", "Chen"]) == "Grace, Tom and Chen"
