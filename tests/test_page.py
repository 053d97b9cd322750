"""The review page over HTTP: a thanks is read, edited, sent, taken back and answered, by the same verbs as elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import page_rigs
import pytest
from daemon_rigs import Ledger
from page_rigs import Site, Visitor

from thanksd import paths
from thanksd.config import Maildir
from thanksd.errors import ConfigError
from thanksd.page import views

_HOSTILE = "<img src=x onerror=alert(1)>\"'&{{777*777}}"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "t.db")


@pytest.fixture
def site(ledger: Ledger) -> Iterator[Site]:
    with page_rigs.site(ledger) as running:
        yield running


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


def _add(ledger: Ledger, **params: object) -> int:
    number = ledger.add("Ada Lovelace", email="ada@example.com", **params)
    ledger.later(hours=2)
    return number


def test_a_letter_is_sent_by_one_press_taken_back_and_sent_again(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    confirmed = visitor.post(f"/thanks/{number}/send", visitor.letter(number))
    assert ledger.state(number) == "confirmed"
    assert "Leaves in 30 s" in confirmed.text
    back = visitor.post(f"/thanks/{number}/undo")
    assert ledger.state(number) == "due"
    assert "Taken back" in back.text
    visitor.post(f"/thanks/{number}/send", visitor.letter(number))
    assert ledger.state(number) == "confirmed"


def test_what_was_typed_is_what_is_confirmed(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    letter["body"] = letter["body"].replace("\n", "\r\n").replace("Thank you", "Many thanks")
    visitor.post(f"/thanks/{number}/send", letter)
    assert "Many thanks" in ledger.call("letter_text", ref=str(number))["letter_text"]


def test_a_finding_that_was_not_on_the_page_stops_the_letter_until_it_was_seen(
    ledger: Ledger, visitor: Visitor
) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    letter["body"] = letter["body"].replace("Thank you", "Thank you yesterday")
    answer = visitor.post(f"/thanks/{number}/send", letter)
    assert "relative-date" in answer.text
    assert ledger.state(number) == "due"
    visitor.post(f"/thanks/{number}/send", visitor.letter(number))
    assert ledger.state(number) == "confirmed"


def test_a_block_is_overridden_by_its_name_alone_and_that_is_written_down(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    ledger.call("draft", ref=str(number), body="Dear Adam,\n\nThank you for telling why you left Rust.\n\nSam Lee")
    letter = visitor.letter(number)
    blocks = re.findall(r'name="override" value="([a-z-]+)"', visitor.get(f"/thanks/{number}").text)
    assert blocks
    assert "mend what stops it" in visitor.post(f"/thanks/{number}/send", letter).text
    assert ledger.state(number) == "due"
    visitor.post(f"/thanks/{number}/send", letter | {"override": " ".join(blocks)})
    assert ledger.state(number) == "confirmed"
    assert "overridden" in [event["what"] for event in ledger.call("log", ref=str(number))["events"]]


@pytest.mark.parametrize("way", ["later", "waive", "done", "facts"])
def test_whichever_button_is_pressed_what_was_typed_is_kept(ledger: Ledger, visitor: Visitor, way: str) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    letter["body"] = letter["body"].replace("Thank you", "Many thanks")
    more = {"delay": "tomorrow 9:00", "how": "by card", "details": "why you left Rust\nyour talk"}
    visitor.post(f"/thanks/{number}/{way}", letter | more)
    if way in ("waive", "done"):
        visitor.post(f"/thanks/{number}/undo")
    assert "Many thanks" in ledger.call("draft", ref=str(number))["draft"]["body"]


def test_a_button_on_an_old_page_that_nobody_typed_on_does_what_it_says(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    ledger.call("draft", ref=str(number), body="Dear Ada,\n\nThank you for telling why you left Rust.\n\nSam Lee")
    visitor.post(f"/thanks/{number}/later", letter | {"delay": "1w"})
    assert ledger.state(number) == "snoozed"
    assert "telling why you left Rust" in ledger.call("draft", ref=str(number))["draft"]["body"]


def test_an_address_that_is_refused_stands_in_its_box_again(ledger: Ledger, visitor: Visitor) -> None:
    number = ledger.add("Bob Ray")
    page = visitor.post(f"/thanks/{number}/facts", {"email": "bob@example", "detail": ""}).text
    assert 'value="bob@example"' in page


def test_a_snoozed_one_says_until_when_and_can_be_taken_back_there(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    page = visitor.post(f"/thanks/{number}/later", {"delay": "tomorrow 9:00"}).text
    assert "You will be reminded tomorrow 09:00." in page
    assert f'action="/thanks/{number}/undo"' in page
    assert "reminded" not in visitor.post(f"/thanks/{number}/undo").text


def test_the_list_has_what_is_due_in_the_order_of_its_best_by(ledger: Ledger, visitor: Visitor) -> None:
    ledger.add("Ada Lovelace", kind="gift")
    ledger.later(seconds=1)
    ledger.add("Bob Ray", kind="interview")
    ledger.later(hours=2)
    page = visitor.get("/").text
    assert 0 < page.index("Bob Ray") < page.index("Ada Lovelace")


def test_a_word_is_not_marked_within_another_and_characters_are() -> None:
    finding = {"where": "I, 最高", "severity": "warn"}
    assert str(views.marked("I did, 昨日は最高です", [finding])) == (
        '<mark class="warn">I</mark> did, 昨日は<mark class="warn">最高</mark>です'
    )


def test_pressed_twice_it_is_one_letter_and_both_answers_show_it_on_its_way(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    for _ in range(2):
        assert "Leaves in" in visitor.post(f"/thanks/{number}/send", letter).text
    assert len(ledger.call("outbox")["letters"]) == 1


@pytest.mark.parametrize("where", ["send", "draft"])
def test_a_text_that_was_changed_elsewhere_is_neither_lost_nor_sent(
    ledger: Ledger, visitor: Visitor, where: str
) -> None:
    number = _add(ledger)
    letter = visitor.letter(number) | {"body": "Dear Ada, these are the words of the first tab."}
    ledger.call("draft", ref=str(number), body="Dear Ada,\n\nThank you for telling why you left Rust.\n\nSam Lee")
    answer = visitor.post(f"/thanks/{number}/{where}", letter)
    assert (answer.status, "changed elsewhere" in answer.text, "the first tab" in answer.text) == (400, True, True)
    assert ledger.state(number) == "due"
    assert "telling why you left Rust" in ledger.call("draft", ref=str(number))["draft"]["body"]
    # An old tab whose own text was never touched sends none of it either.
    assert "changed elsewhere" in visitor.post(f"/thanks/{number}/send", letter | {"body": "Dear Ada, old."}).text


@pytest.mark.parametrize("what", ["name", "hold", "account"])
def test_a_letter_that_would_leave_otherwise_than_was_shown_is_shown_again(
    ledger: Ledger, visitor: Visitor, what: str
) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    if what == "name":
        ledger.call("edit_person", who="1", name="Ada Byron")
    elif what == "hold":
        ledger._config = replace(ledger._config, send=replace(ledger._config.send, undo="0s"))
    else:
        elsewhere = replace(ledger._config.transport, maildir=Maildir(path="/elsewhere"))
        ledger._config = replace(ledger._config, transport=elsewhere)
    assert "Nothing was sent yet" in visitor.post(f"/thanks/{number}/send", letter).text
    assert ledger.state(number) == "due"


def test_other_words_show_once_more_what_stood_there(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    page = visitor.post(f"/thanks/{number}/another", {"body": "My own words, nearly lost."}).text
    assert "My own words, nearly lost." in page


def test_noting_a_fact_does_not_make_a_bad_address_good_again(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    ledger.call("done", ref=str(number))
    other = ledger.add("Ada Lovelace", email="ada@example.com", again=True)
    ledger.later(hours=2)
    with ledger.store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO bad_address VALUES ('ada@example.com', '2025-03-12 09:00:00.000000', 'bounced')"
        )
    page = visitor.post(f"/thanks/{other}/facts", {"email": "ada@example.com", "details": "another story"}).text
    assert "another story" in page
    assert "email address?" in page


def test_a_letter_whose_address_changed_since_it_was_shown_is_shown_again(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    letter = visitor.letter(number)
    ledger.call("edit", ref=str(number), email="ada@elsewhere.example")
    assert "Nothing was sent yet" in visitor.post(f"/thanks/{number}/send", letter).text
    assert ledger.state(number) == "due"


def test_what_was_typed_and_can_t_be_kept_is_given_back(ledger: Ledger, visitor: Visitor) -> None:
    number = _add(ledger)
    visitor.post(f"/thanks/{number}/send", visitor.letter(number))
    answer = visitor.post(f"/thanks/{number}/draft", {"subject": "Mine", "body": "My very own words."})
    assert (answer.status, "My very own words." in answer.text) == (400, True)
    ledger.call("undo", ref=str(number))
    answer = visitor.post(f"/thanks/{number}/draft", {"subject": "Mine", "body": "My own words\x00."})
    assert (answer.status, "My own words" in answer.text) == (400, True)


def test_the_address_and_the_one_detail_are_asked_for_where_they_are_missing(ledger: Ledger, visitor: Visitor) -> None:
    number = ledger.add("Ada Lovelace", details=[])
    page = visitor.get(f"/thanks/{number}").text
    assert "email address?" in page
    assert "What stood out?" in page
    visitor.post(f"/thanks/{number}/facts", {"email": "ada@example.com"})
    page = visitor.post(f"/thanks/{number}/facts", {"detail": "why you left Rust"}).text
    assert "why you left Rust" in page
    assert "email address?" not in page


def test_the_check_says_what_it_finds_in_a_text_that_is_typed_and_keeps_nothing(
    ledger: Ledger, visitor: Visitor
) -> None:
    number = _add(ledger)
    before = ledger.call("draft", ref=str(number))
    form = {"token": visitor.get("/add").token, "subject": "Thanks", "body": "Dear Ada, see you tomorrow <b>"}
    answer = visitor.site.ask("POST", f"/thanks/{number}/check", visitor.headers(), page_rigs.urlencode(form))
    assert 'mark class=\\"warn\\">tomorrow</mark>' in answer.text
    assert "&lt;b&gt;" in answer.text
    assert ledger.call("draft", ref=str(number)) == before


def test_a_thanks_is_put_off_waived_and_given_otherwise(ledger: Ledger, visitor: Visitor) -> None:
    later, waived, done = (ledger.add(name) for name in ("Ada Lovelace", "Tom O'Neil", "Chen Wei"))
    ledger.later(hours=1)
    assert (
        "Ada Lovelace: later, tomorrow 09:00."
        in visitor.post(f"/thanks/{later}/later", {"delay": "tomorrow 9:00"}).text
    )
    visitor.post(f"/thanks/{waived}/waive")
    visitor.post(f"/thanks/{done}/done", {"how": "by card"})
    assert [ledger.state(number) for number in (later, waived, done)] == ["snoozed", "waived", "thanked"]
    visitor.post(f"/thanks/{waived}/undo")
    assert ledger.state(waived) == "due"


def test_a_meeting_is_added_and_a_mistake_keeps_what_was_typed(ledger: Ledger, visitor: Visitor) -> None:
    wrong = visitor.post("/add", {"who": "Ada Lovelace", "kind": "coffee", "when": "somewhen", "details": "Rust"})
    assert wrong.status == 400
    assert 'value="Ada Lovelace"' in wrong.text
    right = visitor.post("/add", {"who": "Ada Lovelace", "kind": "coffee", "when": "", "details": "why you left Rust"})
    assert "Thank Ada Lovelace" in right.text
    assert ledger.call("owed")["thanks"][0]["details"] == ["why you left Rust"]


def test_the_list_finds_people_by_the_beginning_of_their_names(ledger: Ledger, visitor: Visitor) -> None:
    number = ledger.add("José García")
    ledger.add("Ada Lovelace")
    ledger.call("done", ref=str(number))
    assert "José García" in visitor.get("/").text
    found = visitor.get("/?q=gar").text
    assert "José García" in found
    assert "Ada Lovelace" not in found


def test_a_person_s_page_tells_what_they_care_about_and_what_was_promised(ledger: Ledger, visitor: Visitor) -> None:
    ledger.add("Ada Lovelace", promises=["send the paper by fri"])
    page = visitor.post("/people/1/interest", {"text": "small compilers", "source": "coffee"}).text
    assert "small compilers" in page
    assert "send the paper" in page
    assert "send the paper" not in visitor.post("/promises/1/done").text
    visitor.post("/people/1/interest", {"text": "small compilers of old"})
    page = visitor.post("/people/1/no-longer", {"text": "small compilers"}).text
    assert "small compilers of old" in page
    assert page.count("small compilers") == 2


def test_looking_back_shows_the_very_numbers_of_the_command(ledger: Ledger, visitor: Visitor) -> None:
    numbers = [ledger.add(f"Person {one}") for one in range(3)]
    ledger.call("done", ref=str(numbers[0]))
    stats = ledger.call("stats", weeks=26)
    page = visitor.get("/stats").text
    week = next(row for row in stats["weeks"] if row["owed"])
    row = "".join(f"<td>{week[name]}</td>" for name in ("owed", "given", "late", "waived"))
    assert f'<th scope="row">{week["week"]}</th>{row}' in page
    assert page.count("<svg") == 2
    assert visitor.get("/stats?weeks=13").text.count('scope="row"') == 13


def test_a_calendar_program_reads_what_is_owed_at_an_address_that_lasts(ledger: Ledger, site: Site) -> None:
    ledger.add("Ada Lovelace")
    with pytest.raises(ConfigError, match="another one at each start"):
        site.server.feed()
    ledger._config = replace(ledger._config, page=replace(ledger._config.page, port=site.server.port + 1))
    with pytest.raises(ConfigError, match="still another port"):
        site.server.feed()
    ledger._config = replace(ledger._config, page=replace(ledger._config.page, port=site.server.port))
    path = site.server.feed().removeprefix(site.origin)
    answer = site.ask("GET", path)
    assert (answer.status, "SUMMARY:Thank Ada Lovelace (coffee)" in answer.text) == (200, True)
    assert site.server.feed().removeprefix(site.origin) == path
    assert site.ask("GET", f"{path[:-5]}x.ics").status == 403
    assert (paths.state_folder() / "feed-secret").stat().st_mode & 0o777 == 0o600


def test_no_name_place_or_note_becomes_markup_of_the_page(ledger: Ledger, visitor: Visitor) -> None:
    number = ledger.add(
        "Eve {{777*777}} &quot;", details=[_HOSTILE], place=_HOSTILE, about=_HOSTILE, promises=[_HOSTILE]
    )
    ledger.call("edit_person", who="1", cares_about=[_HOSTILE], source=_HOSTILE)
    ledger.call("draft", ref=str(number), subject=_HOSTILE, body=f"{_HOSTILE}</textarea>{_HOSTILE} tomorrow")
    for path in ("/", f"/thanks/{number}", "/people", "/people/1", "/promises", f"/?q={page_rigs.quote(_HOSTILE)}"):
        page = visitor.get(path).text
        assert "<img" not in page
        assert "603729" not in page
        assert page.count("<script") == 1
        assert page.count("</textarea>") <= 2


def test_whoever_is_next_is_the_one_that_a_review_comes_to_and_at_the_end_there_is_the_list(
    ledger: Ledger, visitor: Visitor
) -> None:
    ledger.add("Ada Lovelace", kind="gift")
    second = ledger.add("Bob Ray", kind="interview")
    assert visitor.site.ask("GET", "/next", visitor.headers()).headers["location"] == "/"
    ledger.later(hours=2)
    assert visitor.site.ask("GET", "/next", visitor.headers()).headers["location"] == f"/thanks/{second}"


def test_what_somebody_is_known_as_is_given_back_where_it_is_refused(ledger: Ledger, visitor: Visitor) -> None:
    ledger.add("Robert Ray")
    answer = visitor.post("/people/1", {"name": "Robert N", "email": "robert@x"})
    assert (answer.status, "Robert N" in answer.text) == (400, True)
    assert ledger.call("person", who="1")["people"][0]["name"] == "Robert Ray"
