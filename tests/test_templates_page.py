"""The page that shows every note is what the program says."""

from __future__ import annotations

import templates_page


def test_the_page_of_notes_is_what_the_program_renders_now() -> None:
    assert templates_page.PAGE.read_text(encoding="utf-8") == templates_page.page(), "make templates"
