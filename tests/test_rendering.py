"""The sandbox: what a template that somebody wrote can and can't do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from thanksd import drafts, rendering
from thanksd.errors import DataError, TryLaterError

GOOD = "{% block subject %}Thanks{% endblock %}\n{% block body %}Dear {{ person.name }}{% endblock %}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir(mode=0o700)
    return made


def write(folder: Path, body: str, subject: str = "Thanks", name: str = "coffee") -> Path:
    text = f"{{% block subject %}}{subject}{{% endblock %}}\n{{% block body %}}\n{body}\n{{% endblock %}}\n"
    return write_text(folder, text, name)


def write_text(folder: Path, text: str, name: str = "coffee") -> Path:
    path = folder / f"{name}.txt.j2"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def render(folder: Path, name: str = "coffee") -> drafts.Draft:
    return drafts.render(name, drafts.sample_facts("coffee"), "en", folder)


def fault(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        render(folder)
    assert caught.value.hint == "Look at it: thanksd templates check"
    return caught.value.message


def test_a_users_template_is_rendered_in_another_process_with_the_same_facts_and_filters(folder: Path) -> None:
    write(
        folder, "Dear {{ person | greeted }},\n\n{{ details | remembered }}{{ meeting | on_day(days_since) }} {{ GAP }}"
    )
    assert render(folder) == drafts.Draft(
        "Thanks", "Dear Ada,\n\nI keep thinking about your story of the oldest map. on Tuesday [...]", "coffee"
    )


def test_shipped_templates_need_no_other_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    assert render(folder).subject == "Thank you for the coffee on Tuesday"


def test_a_users_template_may_extend_the_frame_and_the_shipped_template_of_its_own_name(folder: Path) -> None:
    write_text(
        folder, '{% extends "_frame.txt.j2" %}{% block subject %}S{% endblock %}{% block body %}Mine.{% endblock %}'
    )
    body = render(folder).body
    assert body.startswith("Dear Ada,\n\nMine.\n\nI will send you")
    write_text(folder, '{% extends "shipped/coffee.txt.j2" %}{% block subject %}Cheers{% endblock %}')
    assert render(folder).subject == "Cheers"
    assert "Thank you for the coffee" in render(folder).body


def test_a_users_frame_is_used_by_their_templates(folder: Path) -> None:
    write_text(folder, "{% block letter %}Mine: {% block body %}{% endblock %}{% endblock %}", "_frame")
    write_text(folder, '{% extends "shipped/coffee.txt.j2" %}')
    assert render(folder).body.startswith("Mine: Thank you for the coffee")


def test_values_are_never_read_as_templates(folder: Path) -> None:
    write(folder, "{{ details[0] }}")
    facts = drafts.sample_facts("coffee") | {"details": ["{{ 7 * 7 }}{% raw %}"]}
    assert drafts.render("coffee", facts, "en", folder).body == "{{ 7 * 7 }}{% raw %}"


def test_waiting_without_work_is_ended_by_the_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "fine")
    monkeypatch.setattr(rendering, "WALL_SECONDS", 0.1)
    monkeypatch.setattr(rendering, "_BOOT", "import time; time.sleep(60)")
    assert "took longer than" in fault(folder)


def test_too_much_text_is_refused_with_the_limit(folder: Path) -> None:
    write(folder, "{% for a in range(250) %}{{ 'x' * 1024 }}{% endfor %}")
    assert len(render(folder).body) == 250 * 1024


def test_a_mistake_in_an_included_file_names_that_file(folder: Path) -> None:
    part = folder / "part.txt.j2"
    part.write_text("fine\n{{ nothing }}", encoding="utf-8")
    write(folder, "{% include 'part.txt.j2' %}")
    assert f"{part}, line 2: 'nothing' is undefined" in fault(folder)


@pytest.mark.parametrize("block", ["subject", "body"])
def test_a_missing_block_is_named(folder: Path, block: str) -> None:
    path = write_text(folder, GOOD.replace(f"block {block}", "block other"))
    assert f"{path}, line 1: there is no {block} block" in fault(folder)
    write_text(folder, f'{{% extends "_frame.txt.j2" %}}{GOOD.replace(f"block {block}", "block other")}')
    assert f"{path}, line 1: there is no {block} block" in fault(folder)


def test_a_template_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "coffee.txt.j2").write_bytes(GOOD.encode() + b"\xff\xfe")
    assert "not UTF-8" in fault(folder)


def test_a_symlink_within_the_folder_and_a_folder_that_is_one_are_fine(folder: Path, tmp_path: Path) -> None:
    write_text(folder, GOOD, "base")
    (folder / "coffee.txt.j2").symlink_to(folder / "base.txt.j2")
    elsewhere = tmp_path / "dotfiles"
    elsewhere.symlink_to(folder)
    assert render(elsewhere).body == "Dear Ada Lovelace"


def test_a_named_pipe_is_no_template_and_hangs_nobody(folder: Path) -> None:
    os.mkfifo(folder / "coffee.txt.j2")
    assert "coffee.txt.j2" in fault(folder)
    assert all(info.source == "shipped" or not info.description for info in drafts.available("en", folder))
    with pytest.raises(DataError, match="not a template"):
        drafts.source("coffee", "en", folder)


def test_the_child_sees_neither_our_environment_nor_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "fine")
    (folder / "json.py").write_text("raise SystemExit(9)")
    (folder / "jinja2.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    assert render(folder).body == "fine"


def test_the_child_is_isolated_from_site_folders_and_from_our_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "fine")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    told = "[sys.flags.isolated, sys.flags.no_site, sorted(os.environ), os.getcwd()]"
    monkeypatch.setattr(
        rendering, "_BOOT", f"import json, os, sys; print(json.dumps([dict(fault=['', 0, str({told})])]))"
    )
    assert "[1, 1, ['LC_ALL'], '/']" in fault(folder)


def test_the_childs_limits_are_set_before_the_template_runs() -> None:
    code = "import resource; from thanksd import rendering; rendering._limit();" + "".join(
        f"print(resource.getrlimit(resource.{name})[0]);"
        for name in ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_FSIZE")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", str(512 * 1024 * 1024), "0", str(2 * 1024 * 1024)]


def test_a_child_that_can_not_be_started_is_a_matter_for_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "fine")

    def refuse(*_args: Any, **_options: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(TryLaterError, match="Resource temporarily unavailable"):
        render(folder)


def test_a_child_that_dies_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "fine")
    monkeypatch.setattr(rendering, "_BOOT", "raise SystemExit(3)")
    assert f"{path}: rendering it failed (exit 3)" in fault(folder)
