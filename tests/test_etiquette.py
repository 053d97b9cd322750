"""The etiquette check: rules one by one, and a small corpus of good and bad notes."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from thanksd import asks, days, etiquette, language, names, offers, policy
from thanksd.facts import GAP, Facts

ENGLISH = language.of("en")

ENDING = "\n\nWith best wishes,\nSam Lee"
PADDING = (
    "You had no need to make room for this in your day, and it was kind of you to do it anyway. "
    "A good conversation is a gift from the one who makes time for it."
)
GOOD = (
    f"Dear Ada,\n\nThank you for the coffee on Tuesday. I keep thinking about why you left Rust.\n\n{PADDING}{ENDING}"
)


def facts(**changes: Any) -> Facts:
    made: Any = {
        "me": {"name": "Sam Lee", "email": "sam@example.com", "signature": "Sam Lee"},
        "person": {"name": "Ada Lovelace", "email": "ada@example.com", "lang": "en", "seniority": "peer"},
        "meeting": {"kind": "coffee", "weekday": "Tuesday", "date": "11 March", "place": "", "about": ""},
        "details": ["why you left Rust"],
        "promises": [],
        "others": [],
        "via": "",
        "again": "",
        "outcome": "",
        "pass_on": [],
        "days_since": 1,
        "belated": False,
        "fitting": {"offers": ["help"], "greeting": "Dear Ada,", "closing": "With best wishes,", "shortest": 35,
                    "longest": 150},
    }  # fmt: skip
    made.update(changes)
    result: Facts = made
    return result


def named(name: str) -> Facts:
    return facts(person={"name": name, "email": "ada@example.com", "lang": "en", "seniority": "peer"})


def check(
    body: str, known: Facts | None = None, subject: str = "Thank you for the coffee", to: str = "ada@example.com"
) -> list[Any]:
    return list(etiquette.check(subject, body, known or facts(), to))


def codes(
    body: str, known: Facts | None = None, subject: str = "Thank you for the coffee", to: str = "ada@example.com"
) -> list[str]:
    return [finding["code"] for finding in check(body, known, subject, to)]


def with_line(sentence: str) -> str:
    return GOOD.replace(PADDING, f"{PADDING} {sentence}")


class Sample(NamedTuple):
    label: str
    text: str
    expected: list[str]


# Notes as people write them, each a full body; what the check must say of it, and nothing else.
CORPUS = [
    Sample("a good note", GOOD, []),
    Sample("greeted by the full name", GOOD.replace("Dear Ada,", "Dear Ada Lovelace,"), []),
    Sample("greeted by title and last name", GOOD.replace("Dear Ada,", "Dear Dr. Lovelace,"), []),
    Sample("greeted with Hi", GOOD.replace("Dear Ada,", "Hi Ada!"), []),
    Sample("greeted by the bare name", GOOD.replace("Dear Ada,", "Ada,"), []),
    Sample("somebody else is greeted", GOOD.replace("Ada,", "Adam,"), ["greeting"]),
    Sample("two people are greeted", GOOD.replace("Dear Ada,", "Dear Ada and Tom,"), ["greeting"]),
    Sample("nobody is greeted", GOOD.replace("Dear Ada,\n\n", ""), ["greeting"]),
    Sample("the greeting is in small letters", GOOD.replace("Dear Ada", "Dear ada"), ["greeting"]),
    Sample("an empty greeting", GOOD.replace("Dear Ada,", "Dear ,"), ["gap"]),
    Sample("the draft's own gap", GOOD.replace("why you left Rust", GAP), ["gap", "detail"]),
    Sample("a name to fill in", with_line("You and [Name] were kind."), ["gap"]),
    Sample("a template's braces", with_line("You know {{ person.name }}."), ["gap"]),
    Sample("an angle-bracket placeholder", with_line("You work at <company name>."), ["gap"]),
    Sample("a TODO", with_line("TODO thank you for the book."), ["gap"]),
    Sample("a todo list is no placeholder", with_line("Your todo list made you laugh."), []),
    Sample("a numbered note is no placeholder", with_line("You had it right [1]."), []),
    Sample("an address in angle brackets is none", with_line("You are <ada@example.com>."), []),
    Sample("a heart is none", with_line("You and your cat <3 each other."), []),
    Sample("code is none", with_line("You love Option<String> and items[index], and so on."), ["grounding"]),
    Sample("no detail of the meeting", GOOD.replace("why you left Rust", "our talk"), ["detail"]),
    Sample("the detail in other letters", GOOD.replace("why you left Rust", "WHY YOU LEFT RUST"), []),
    Sample("a part of the detail", GOOD.replace("why you left Rust", "the day you left Rust"), []),
    Sample("too short", f"Dear Ada,\n\nThank you for why you left Rust.{ENDING}", ["length"]),
    Sample("too long", GOOD.replace(PADDING, "You were kind to me. " * 40), ["length"]),
    Sample(
        "all about me",
        with_line("I loved it, I learned so much, and I told my team and my boss how glad I am."),
        ["self-talk"],
    ),
    Sample("wants a job", with_line("Please let me know if you have any openings."), ["ask"]),
    Sample("asks for a referral", with_line("Could you refer me to your team?"), ["ask"]),
    Sample("wants to pick a brain", with_line("You would let me pick your brain again, I hope."), ["ask"]),
    Sample("sends a CV", with_line("You will find my thanks here, and my CV is attached."), ["ask"]),
    Sample("asks two questions", with_line("How is your cat? How is your dog?"), ["ask"]),
    Sample("asks for a job in a question", with_line("Could you get me a job?"), ["ask"]),
    Sample("one question is no ask", with_line("How is your cat?"), []),
    Sample("speaks of a job they described", with_line("You described the job so well."), []),
    Sample("thanks for a referral", with_line("Thank you for the referral to your old team."), []),
    Sample("speaks of their internship", with_line("Your internship years were good to hear about."), []),
    Sample("offers help", with_line("You need only say so: let me know if I can help you with the move."), []),
    Sample("sends regards", with_line("Please give my regards to your team, and to you."), []),
    Sample("dates the meeting by today", with_line("Your talk today was good, and so were you."), ["relative-date"]),
    Sample("dates it by yesterday", GOOD.replace("on Tuesday", "yesterday"), ["relative-date"]),
    Sample("promises something for tomorrow", with_line("You will have the paper tomorrow."), ["relative-date"]),
    Sample("wishes a nice day", with_line("Have a nice day today, and a good trip to you."), []),
    Sample("a magazine of that name", with_line("Your piece in Psychology Today was a joy to you."), ["grounding"]),
    Sample("thanks for an introduction", with_line("It was kind of you to introduce me to Grace."), ["grounding"]),
]


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.label)
def test_the_corpus_gets_exactly_the_findings_it_deserves(sample: Sample) -> None:
    assert codes(sample.text) == sample.expected


ASKING = """
May I ask you for a favour
I have a favor to ask
Would you be willing to look at my draft
Would you mind if we spoke again
Can you please introduce me to Grace
Could you introduce me to your manager
Would you consider me for the role
I would appreciate it if you forwarded my letter
I'd appreciate any advice
I would be grateful if you kept me posted
I was wondering if you could help
I'm hoping you can put me in touch
I wonder whether you might know someone
I hope you can recommend me
I am looking for a job in your field
I am currently applying for an internship
I need a referral
I would love an introduction to Grace
Do you know of any openings
Do you have time next week
Are you hiring
Is your team still hiring? Are you still hiring
Is there an opening on your team?
Let me know when you are free
Let me know whether there are positions
If you hear of any openings, think of me
Please keep me in mind
Please send me the slides
Please pass on my CV
Keep an eye out for me
You might put in a good word
Would it be possible to meet
Can we schedule another call
Could I visit your lab
Is there any chance of a job
Is it possible to meet again
I would be happy if you could write back
Please pass my application on
""".strip().splitlines()

NOT_ASKING = """
Thank you for the referral
The job you described sounds like you
Your internship years were worth hearing about
It was kind of you to introduce me to Grace
You introduced me to Grace
You can count on me to send the paper
Let me know if I can return the favour
Please give my best to Tom
Please pass on my thanks to Tom
I did not know that you could help so many people
What you would do again was the best part
You asked me what I am looking for
Thank you for the favour you did me
I like the role you play in the team
I like your position on testing
You said that you could not have left without help
You let me know how it ended
The opening of your talk was so calm
You were looking for a job yourself then
I will send you the recommendation you wanted
Thank you for the opportunity
How could you tell so quickly
I would be glad if you enjoyed it
How is it possible that you know so much
You never gave me any chance to doubt it
Please send my thanks to Tom
Please pass on my kind regards
I am looking forward to the opening
""".strip().splitlines()


@pytest.mark.parametrize("sentence", ASKING)
def test_asking_for_a_job_or_a_favour_is_found(sentence: str) -> None:
    assert asks.find(sentence, ENGLISH)
    assert asks.find(sentence.upper().replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"), ENGLISH)


@pytest.mark.parametrize("sentence", NOT_ASKING)
def test_speaking_of_jobs_and_favours_without_asking_passes(sentence: str) -> None:
    assert asks.find(sentence, ENGLISH) == []


def test_a_line_break_does_not_hide_an_ask() -> None:
    assert asks.find("I would love to pick\nyour brain", ENGLISH) == ["love to pick your brain"]


def test_an_ask_in_the_subject_is_found_too() -> None:
    assert codes(GOOD, subject="Are you hiring?") == ["ask"]


def test_a_greeting_finding_says_both_names_and_a_gap_finding_lists_every_gap() -> None:
    (greeting,) = check(GOOD.replace("Ada,", "Adam,"))
    assert greeting == {
        "code": "greeting",
        "severity": "block",
        "message": 'the letter says "Dear Adam", the person is Ada.',
        "where": "Dear Adam",
    }
    (gap,) = check(with_line("You and [Name] saw TODO."))
    assert gap["where"] == "[Name], TODO"


@pytest.mark.parametrize(
    ("code", "severity", "body"),
    [
        ("gap", "block", with_line("TODO")),
        ("greeting", "block", GOOD.replace("Ada,", "Eve,")),
        ("detail", "block", GOOD.replace("why you left Rust", "it")),
        ("ask", "block", with_line("Are you hiring, you and your team?")),
        ("length", "warn", f"Dear Ada,\n\nYou told me why you left Rust.{ENDING}"),
        ("self-talk", "warn", with_line("I I I I I I I")),
    ],
)
def test_each_finding_blocks_or_warns(code: str, severity: str, body: str) -> None:
    assert [(found["code"], found["severity"]) for found in check(body)] == [(code, severity)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("José Álvarez", "Dear José,"),
        ("José Álvarez", "Dear Jose\u0301,"),
        ("Tom O'Neil", "Dear Tom O\N{RIGHT SINGLE QUOTATION MARK}Neil,"),
        ("Guido van Rossum", "Dear Mr van Rossum,"),
        ("Ada King Lovelace", "Dear Ada Lovelace,"),
        ("Dr. Ada Lovelace", "Dear Ada,"),
        ("Lovelace, Ada", "Dear Ada,"),
        ("Ada Lovelace, PhD", "Dear Ada Lovelace,"),
        ("Wei", "Good morning Wei,"),
        ("Anne-Marie Slaughter", "Dear Anne-Marie,"),
        ("Dr. Lovelace", "Dear Dr. Lovelace,"),
    ],
)
def test_a_name_may_be_said_in_each_of_its_right_forms(name: str, line: str) -> None:
    assert "greeting" not in codes(GOOD.replace("Dear Ada,", line), named(name))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("José Álvarez", "Dear Jose,"),
        ("Tom O'Neil", "Dear Tom Neil,"),
        ("Ada Lovelace", "Dear Lovelace Ada,"),
        ("Ada Lovelace", "Dear Ad,"),
        ("Ada Lovelace", "Dear Sir or Madam,"),
        ("Ada Lovelace", "Hi there,"),
        ("Ada Lovelace", "Hiada,"),
    ],
)
def test_a_name_that_is_not_spelled_as_stored_blocks(name: str, line: str) -> None:
    assert {"greeting", "typo"} & set(codes(GOOD.replace("Dear Ada,", line), named(name)))


def test_greeting_and_letter_on_one_line_are_told_apart() -> None:
    body = f"Dear Ada, you told me why you left Rust. {PADDING}{ENDING}"
    assert codes(body) == []
    assert (
        etiquette.word_count(body, facts())
        == etiquette.word_count(f"You told me why you left Rust. {PADDING}", facts()) + 2
    )


@pytest.mark.parametrize(
    ("name", "seniority", "expected"),
    [
        ("Ada Lovelace", "peer", "Ada"),
        ("Ada Lovelace", "above", "Ada Lovelace"),
        ("Dr. Ada Lovelace", "peer", "Ada"),
        ("Dr. Ada Lovelace", "above", "Dr. Ada Lovelace"),
        ("Dr. Lovelace", "peer", "Dr. Lovelace"),
        ("Lovelace, Ada", "above", "Ada Lovelace"),
        ("Ada Lovelace, PhD", "above", "Ada Lovelace"),
        ("Madonna", "peer", "Madonna"),
        ("", "peer", ""),
    ],
)
def test_people_are_greeted_by_first_name_and_those_above_by_their_full_one(
    name: str, seniority: str, expected: str
) -> None:
    assert names.greeting(name, seniority) == expected


@pytest.mark.parametrize(
    ("subject", "to"),
    [
        ("Thank you for the tea\nBcc: eve@example.com", "ada@example.com"),
        ("Thank you for the tea\r", "ada@example.com"),
        ("Thank\x00you for it", "ada@example.com"),
        ("Thank \u202eyou for it", "ada@example.com"),
        ("Thank you for the tea", "ada@example.com, eve@example.com"),
        ("Thank you for the tea", "ada@example.com\nBcc: eve@example.com"),
        ("Thank you for the tea", "nobody"),
    ],
)
def test_a_subject_or_recipient_that_could_add_headers_or_people_blocks(subject: str, to: str) -> None:
    (finding,) = check(GOOD, subject=subject, to=to)
    assert (finding["code"], finding["severity"]) == ("headers", "block")
    assert not any(ord(char) < 0x20 for char in finding["message"] + finding["where"])


def test_no_address_yet_is_no_finding() -> None:
    assert codes(GOOD, to="") == []


@pytest.mark.parametrize("details", [[], [""], ["  "]])
def test_a_note_of_a_meeting_without_any_detail_blocks(details: list[str]) -> None:
    assert codes(GOOD, facts(details=details)) == ["detail", "grounding"]


@pytest.mark.parametrize(
    ("detail", "said", "found"),
    [
        ("Rust", "I keep thinking about Rust.", True),
        ("Rust", "I keep thinking about trust.", False),
        ("compiler talk", "Your compiler talk was good.", True),
        ("compiler talk", "Your talk on the compiler was good.", True),
        ("the way you took the time to explain lifetimes", "Thank you for the time you took.", False),
        ("the way you took the time to explain lifetimes", "You can explain lifetimes.", True),
        ("how you are", "You know how you are.", True),
        ("how you are", "You know that you are.", False),
        ("Ada's compiler", "The compiler of Ada.", True),
        ("🎉", "You brought 🎉.", True),
        ("🎉", "You brought it.", False),
        ("你好世界", "You wrote 你好世界.", True),
    ],
)
def test_a_detail_counts_when_two_telling_words_of_it_are_there(detail: str, said: str, *, found: bool) -> None:
    assert (etiquette.check_detail(said, [detail], ENGLISH) is None) is found


def test_one_of_several_details_is_enough() -> None:
    assert codes(GOOD, facts(details=["the printer that caught fire", "why you left Rust"])) == []


def test_words_are_counted_between_greeting_and_closing() -> None:
    text = " ".join(["you"] * 35)
    for ending in ("", "\n\nBest regards\nSam Lee", "\n\nWith kind regards,\nSam Lee", "\n\nCheers,\nSam Lee\n"):
        assert etiquette.word_count(f"Dear Ada,\n\n{text}{ending}", facts()) == 35
    long_signature = facts(me={"name": "Sam Lee", "email": "s@example.com", "signature": "Sam Lee\nA Very Long Title"})
    assert etiquette.word_count(f"Dear Ada,\n{text}\nYours,\nSam Lee\nA Very Long Title", long_signature) == 35


@pytest.mark.parametrize(("words", "warned"), [(34, True), (35, False), (150, False), (151, True)])
def test_the_length_limits_are_35_and_150_words(words: int, *, warned: bool) -> None:
    assert (etiquette.check_length(" ".join(["you"] * words), facts()["fitting"], ENGLISH) is not None) is warned


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("I thank you.", False),
        ("I'd say my thanks to you.", False),
        ("I'd say to you that I want my share.", True),
        ("You told me, helped me and showed me why I fail.", False),
        ("You're right, and I'm glad.", False),
        ("My, mine, me: yours, your, you.", False),
        ("Mine and you and me.", False),
        ("Mine and you and me and I.", False),
        ("Mine and you and my own and I.", True),
        ("A coffee in Berlin.", False),
    ],
)
def test_saying_me_more_often_than_you_warns(text: str, *, warned: bool) -> None:
    assert (etiquette.check_self_talk(text, ENGLISH) is not None) is warned


@pytest.mark.parametrize(
    "detail", ["why she left Rust", "He said yes", "They're right", "her talk", "his cat", "I saw him"]
)
def test_a_detail_in_the_third_person_warns(detail: str) -> None:
    found = etiquette.check_third_person([detail], detail, ENGLISH)
    assert found is not None
    assert (found["code"], found["severity"]) == ("third-person", "warn")


@pytest.mark.parametrize(
    "detail", ["why you left Rust", "the theory of this", "hershey bars", "Sheila's talk", "there"]
)
def test_words_that_only_look_like_the_third_person_pass(detail: str) -> None:
    assert etiquette.check_third_person([detail], detail, ENGLISH) is None


DATED = """
Your talk today was good
your talk TODAY was good
Today you told me about it
Thank you. Yesterday was a joy
Thank you for this morning
it was good to see you last night
I will think of it tonight
Thank you for the day before yesterday
you said so two days ago
you said so a couple of days ago
thank you for today's meeting
thank you for yesterday\N{RIGHT SINGLE QUOTATION MARK}s coffee
you have a talk tomorrow
You have my thanks for your talk today
thank you for our meeting of today
I hope you enjoyed the talk today
""".strip().splitlines()

DATED_BY_WEEK = """
the talk this week
our coffee last week
see you next week
it was a few weeks ago
I liked this weekend
""".strip().splitlines()

NOT_DATED = """
Have a nice day today
Have a good rest of the week
Enjoy your day today
the compilers of today are yours
the leaders of tomorrow will thank you
in today's world you are rare
I have kept it to this day
you wrote for USA Today
Your book, Tomorrow Never Dies, was a joy
you were kind on Tuesday
thank you for the other day
you work day and night
one day you will see
this is the morning person in you
""".strip().splitlines()


@pytest.mark.parametrize(
    ("sentence", "of_a_week"), [*((one, False) for one in DATED), *((one, True) for one in DATED_BY_WEEK)]
)
def test_words_that_date_by_the_day_they_are_said_on_are_found(sentence: str, *, of_a_week: bool) -> None:
    assert [found.of_a_week for found in days.find(sentence, ENGLISH)] == [of_a_week]


@pytest.mark.parametrize("sentence", NOT_DATED)
def test_wishes_ages_and_names_date_nothing(sentence: str) -> None:
    assert days.find(sentence, ENGLISH) == []


TUESDAY = date(2025, 3, 11)


@pytest.mark.parametrize(
    ("words", "leaves", "severity"),
    [
        ("yesterday", TUESDAY, "warn"),
        ("yesterday", TUESDAY + timedelta(days=1), "block"),
        ("this morning", TUESDAY + timedelta(days=1), "block"),
        ("last week", TUESDAY + timedelta(days=5), "warn"),
        ("last week", TUESDAY + timedelta(days=6), "block"),
        ("last week", TUESDAY + timedelta(days=371), "block"),
    ],
)
def test_a_dated_word_blocks_only_where_it_is_wrong_on_the_day_the_letter_leaves(
    words: str, leaves: date, severity: str
) -> None:
    body = GOOD.replace("on Tuesday", words)
    (found,) = etiquette.check("Thank you for the coffee", body, facts(), "ada@example.com", (TUESDAY, leaves))
    assert (found["code"], found["severity"], found["where"]) == ("relative-date", severity, words)
    assert etiquette.check("Thank you for the coffee", GOOD, facts(), "ada@example.com", (TUESDAY, leaves)) == []


def test_a_dated_word_in_the_subject_is_found_and_one_that_is_wrong_is_named_alone() -> None:
    body = GOOD.replace("on Tuesday", "last week")
    (found,) = etiquette.check("Your talk today", body, facts(), "", (TUESDAY, TUESDAY + timedelta(days=1)))
    assert (found["severity"], found["where"]) == ("block", "today")


def test_no_code_is_said_twice_and_blocks_come_first() -> None:
    body = "Dear Eve,\n\nTODO [Name]: I want a job, are you hiring? I, I, I need a referral.\n\nBest,\nSam Lee"
    body = body.replace("referral.", "referral. Her cat is lovely, why she left Rust.")
    found = check(body, facts(details=["why she left Rust", "her cat"]))
    assert len({one["code"] for one in found}) == len(found)
    severities = [("block", "warn", "hint").index(one["severity"]) for one in found]
    assert severities == sorted(severities)
    assert {one["code"] for one in found} == {
        *("gap", "greeting", "ask", "length", "self-talk", "third-person", "praise"),
    }


def test_an_editors_decomposed_accents_change_nothing() -> None:
    body = GOOD.replace("why you left Rust", "Cafe\u0301 Einstein stories")
    assert codes(body, facts(details=["Café Einstein stories"])) == []


def test_a_hostile_body_does_not_keep_the_check_busy() -> None:
    before = time.process_time()
    for piece in (
        "[a",
        "<a ",
        "Dear ",
        "{{",
        "let me know ",
        "I am ",
        "please ",
        "a'",
        "a-",
        "you could ",
        "is there a ",
        "have a nice ",
        "a couple of ",
        "Today ",
    ):
        check(f"Dear Ada,\n{piece * (20_000 // len(piece))}")
    # Linear, all of it takes a tenth of a second; with one pattern that backtracks, hours.
    assert time.process_time() - before < 30


def test_it_is_pure() -> None:
    code = "import sys, thanksd.etiquette; print(sorted({'jinja2', 'sqlalchemy', 'email', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what is offered ---

OFFERS = [
    ("Let's do coffee soon.", "coffee"),
    ("I'd love to buy you a coffee.", "coffee"),
    ("Coffee is on me.", "coffee"),
    ("Could we have lunch next week?", "meal"),
    ("May I invite you to dinner?", "meal"),
    ("I would be happy to meet again.", "meeting"),
    ("Shall we catch up in May?", "meeting"),
    ("Let me know when you are in town.", "meeting"),
    ("I'd like to connect with you on LinkedIn.", "connection"),
    ("Let\N{RIGHT SINGLE QUOTATION MARK}s connect.", "connection"),
    ("Let me know if I can be of use to you.", "help"),
    ("I would be glad to help with the proofs.", "help"),
]


@pytest.mark.parametrize(("sentence", "offer"), OFFERS)
def test_an_offer_is_found_and_blocked_where_it_is_not_fitting(sentence: str, offer: str) -> None:
    assert offer in [found for found, _ in offers.find(sentence, ENGLISH)]
    fitting: Any = {**facts()["fitting"], "offers": []}
    assert "offer" in codes(with_line(sentence), facts(fitting=fitting))
    fitting = {**fitting, "offers": list(policy.OFFERS)}
    assert "offer" not in codes(with_line(sentence), facts(fitting=fitting))


@pytest.mark.parametrize(
    "sentence",
    [
        *("Thank you for the coffee.", "The lunch you gave us was a treat.", "It was a pleasure to meet you."),
        *("You made time to meet again.", "Your talk on coffee and dinner parties was a delight."),
        *("You connect people as nobody else does.", "You had found time for a call.", "Your help came at the moment."),
    ],
)
def test_thanks_for_a_coffee_or_a_meeting_offer_nothing(sentence: str) -> None:
    assert list(offers.find(sentence, ENGLISH)) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Könntest du mir einen Job besorgen?", "Könntest du mir einen Job besorgen?"),
        ("How is your cat? How is your dog?", "more than one question"),
        ("Could you get me a job? How is your cat?", "Could you get, more than one question"),
    ],
)
def test_what_asks_is_told_word_for_word_and_a_second_question_in_our_words(line: str, words: str) -> None:
    found = etiquette.check_ask("", line, language.of("de" if "du" in line else "en"))
    assert found is not None
    assert found["message"] == f"a thank-you asks for nothing, this one does: {words}."
