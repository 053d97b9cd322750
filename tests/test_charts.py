"""The numbers drawn: well-formed, within a strict policy, escaped, and with bars as long as the numbers say."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from thanksd import charts

NS = "{http://www.w3.org/2000/svg}"
DELAYS = [{"name": "same day", "given": 12}, {"name": "next day", "given": 0}, {"name": "later", "given": 3}]


def rows(*numbers: tuple[int, int, int]) -> list[dict[str, Any]]:
    first = date(2025, 3, 10)
    return [
        {"week": (first + timedelta(weeks=place)).isoformat(), "owed": owed, "given": done, "late": late, "waived": 0}
        for place, (owed, done, late) in enumerate(numbers)
    ]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  made here


def bars(svg: str, kind: str) -> list[tuple[float, float, float, float]]:
    """Give x, y (of its foot), width and height of the bars of a kind."""
    drawn = parsed(svg).findall(f"{NS}path[@class='{kind}']")
    number = r"([\d.]+)"
    found = re.findall(rf"M{number} {number}v-{number}h{number}v{number}z", "".join(one.attrib["d"] for one in drawn))
    assert all(up == down for _, _, up, _, down in found)
    return [(float(x), float(y), float(width), float(height)) for x, y, height, width, _ in found]


def test_bars_are_as_high_as_their_numbers_and_stand_side_by_side_on_one_line() -> None:
    svg = charts.weeks(rows((4, 2, 1), (0, 0, 0), (8, 8, 0)))
    owed, done, late = (bars(svg, kind) for kind in ("owed", "given", "late"))
    assert [round(one[3] / owed[0][3], 2) for one in (*owed, *done, *late)] == [1, 2, 0.5, 2, 0.25]
    assert len({one[1] for one in (*owed, *done, *late)}) == 1
    assert [one[0] + one[2] for one in owed] == pytest.approx([one[0] for one in done])
    # What is late is a part of what is owed, and drawn over it.
    assert late[0][0] == owed[0][0]
    assert svg.index('<path class="owed"') < svg.index('<path class="late"')


def test_a_delay_is_a_bar_as_long_as_its_number_and_the_last_is_late() -> None:
    drawn = parsed(charts.delays(DELAYS)).findall(f"{NS}rect")
    assert [(one.attrib["class"], float(one.attrib["width"])) for one in drawn] == [("given", 560), ("late", 140)]
    said = [one.text for one in parsed(charts.delays(DELAYS)).findall(f"{NS}text")]
    assert said == ["same day", "12", "next day", "0", "later", "3"]


def test_everything_drawn_is_within_the_picture() -> None:
    numbers = [(place % 9, place % 5, place % 3) for place in range(52)]
    for svg in (charts.weeks(rows(*numbers)), charts.weeks(rows((1, 1, 0))), charts.delays(DELAYS)):
        root = parsed(svg)
        _, _, wide, high = map(float, root.attrib["viewBox"].split())
        for one in root.iter(f"{NS}rect"):
            x, y, width, height = (float(one.attrib[name]) for name in ("x", "y", "width", "height"))
            assert min(x, y, width, height) >= 0
            assert (x + width <= wide, y + height <= high) == (True, True)
        for x, y, width, height in [one for kind in ("owed", "given", "late") for one in bars(svg, kind)]:
            assert (x > 0, x + width < wide, y - height > 0, y < high) == (True, True, True, True)
        assert all(0 < float(one.attrib["y"]) <= high for one in root.iter(f"{NS}text"))


def test_a_year_is_under_ten_kilobytes() -> None:
    svg = charts.weeks(rows(*[(137, 131, 119)] * 52))
    assert len(svg.encode()) < 10_000
    assert len(charts.delays(DELAYS).encode()) < 2_000


@pytest.mark.parametrize("svg", [charts.weeks(rows((3, 1, 1))), charts.delays(DELAYS), charts.weeks([])])
def test_it_holds_nothing_that_a_strict_policy_forbids_and_is_an_image_with_a_name(svg: str) -> None:
    root = parsed(svg)
    assert not re.search(r"style|<script|href|url\(|on\w+=|@import|data:|#[0-9a-f]{3}|fill=|stroke=", svg)
    assert svg.count("http") == svg.count('xmlns="http://www.w3.org/2000/svg"') == 1
    assert {one.attrib["class"] for one in root.iter() if "class" in one.attrib} <= {"owed", "given", "late", "axis"}
    named = {one.attrib["id"]: one.tag for one in root.iter() if "id" in one.attrib}
    assert root.attrib["role"] == "img"
    assert [named[one] for one in root.attrib["aria-labelledby"].split()] == [f"{NS}title", f"{NS}desc"]
    assert [one.tag for one in root][:2] == [f"{NS}title", f"{NS}desc"]


def test_who_does_not_see_it_is_told_the_numbers() -> None:
    said = parsed(charts.weeks(rows((3, 2, 0), (0, 0, 0), (1, 0, 1)))).findtext(f"{NS}desc")
    assert said == "10 Mar: 3 owed, 2 given; 24 Mar: 1 owed, 0 given, 1 late"
    assert parsed(charts.delays(DELAYS)).findtext(f"{NS}desc") == "same day: 12; next day: 0; later: 3"


def test_two_charts_of_a_page_have_ids_of_their_own() -> None:
    ids = re.findall(r' id="([^"]+)"', charts.weeks([]) + charts.delays([]) + charts.weeks([], name="more"))
    assert len(ids) == len(set(ids)) == 6


def test_words_of_any_script_are_whole_read_in_their_own_direction_and_can_not_turn_others_around() -> None:
    hostile = '</title><script>alert("1")</script> & \u202eabc\x07\ufffe\uffff'
    svg = charts.weeks(rows((1, 1, 0)), charts.Words("感謝" * 200, "שלום", hostile, "遅れ"), name='"x')
    root = parsed(svg)
    texts = root.findall(f"{NS}text")
    assert root.findtext(f"{NS}title") == "感謝" * 200
    assert [one.text for one in texts[:3]] == [
        "שלום",
        '</title><script>alert("1")</script> & \\u202eabc\\x07\ufffd\ufffd',
        "遅れ",
    ]
    assert {one.attrib["unicode-bidi"] for one in texts} == {"plaintext"}
    assert root.attrib["direction"] == "ltr"
    assert "<script" not in svg


@how(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=40), st.lists(st.tuples(*[st.integers(0, 10**9)] * 3), max_size=60))
def test_whatever_it_is_given_it_is_well_formed(text: str, numbers: list[tuple[int, int, int]]) -> None:
    parsed(charts.weeks(rows(*numbers), charts.Words(text, text, text, text), name=text))
    parsed(charts.delays([{"name": text, "given": one[0]} for one in numbers], text))
