from __future__ import annotations

import contextlib
import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanksd import config, config_file, policy
from thanksd.config import Config, load, parse
from thanksd.errors import ConfigError, PermissionDeniedError, UsageError

COMMENTED = """\
# mine
[me]
name = "Sam Lee"  # as under a letter

# the way out
[transport]
kind = "maildir"
maildir.path = "/tmp/letters"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "thanksd" / "config.toml"


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml")
    return caught.value


# --- reading ---


def test_a_file_that_is_not_there_gives_the_defaults(file: Path) -> None:
    assert load(file) == Config()


def test_the_transport_has_no_default() -> None:
    assert Config().transport.kind == ""


def test_every_setting_of_the_contract_is_in_the_table() -> None:
    assert {row.name for row in config.table()} == {
        *(f"me.{key}" for key in ("name", "email", "language", "timezone", "signature")),
        *(f"copies.{key}" for key in ("days", "weeks", "months")),
        "draft.command",
        *("transport.kind", "transport.maildir.path", "transport.mailto.open"),
        *(f"transport.smtp.{key}" for key in ("host", "port", "security", "auth", "username", "connections")),
        *("transport.smtp.token_command", "transport.smtp.password_command"),
        *(
            f"nudge.{key}"
            for key in (
                "channels",
                "quiet_hours",
                "weekdays_only",
                "review",
                "terminal",
                "phone",
                "push_command",
                "ask",
            )
        ),
        *(f"page.{key}" for key in ("enabled", "port", "browser")),
        *("send.undo", "send.copy", "send.also_for"),
        *(f"kind.NAME.{key}" for key in ("nudge", "best_by", "belated", "template", "offers")),
        *(f"kind.NAME.{key}" for key in ("greeting", "closing", "shortest", "longest", "most", "within")),
    }
    assert all(row.meaning for row in config.table())


def test_values_are_read_into_their_places() -> None:
    read = parse(COMMENTED + '[nudge]\nchannels = ["terminal"]\nweekdays_only = true\n[kind.coffee]\nnudge = "2h"\n')
    assert (read.me.name, read.transport.maildir.path) == ("Sam Lee", "/tmp/letters")
    assert (read.nudge.channels, read.nudge.weekdays_only) == (("terminal",), True)
    assert (read.kind["coffee"].nudge, read.send.undo) == ("2h", "30s")


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("[transport]\nknd = 'smtp'", 2, "transport.knd is no setting", "Did you mean transport.kind?"),
        ("[transprot]\n", 1, "transprot is no setting", "Did you mean transport?"),
        ("\n[transport.smtp]\nprot = 1", 3, "transport.smtp.prot is no setting", "Did you mean transport.smtp.port?"),
        ("[me]\nname = 1", 2, "me.name must be text in quotes", 'For example: name = ""'),
        ("[transport.smtp]\nport = true", 2, "transport.smtp.port must be a whole number", "For example: port = 0"),
        ("[nudge]\nweekdays_only = 'no'", 2, "nudge.weekdays_only must be true or false", "weekdays_only = false"),
        ("[nudge]\nchannels = 'desktop'", 2, "nudge.channels must be a list", "channels = "),
        ("[nudge]\nchannels = ['pigeon']", 2, "nudge.channels can't be 'pigeon'", "desktop, push"),
        ("[transport]\nkind = 'pigeon'", 2, "transport.kind can't be 'pigeon'", '"", smtp, maildir'),
        ("me = 3", 1, "me must be a table", "Write [me]"),
        ("[kind.coffee]\nnuge = '2h'", 2, "kind.coffee.nuge is no setting", "Did you mean kind.coffee.nudge?"),
        ("[kind]\ncoffee = '2h'", 2, "kind.coffee must be a table", "Write [kind.coffee]"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_what_is_right(text: str, line: int, what: str, hint: str) -> None:
    error = refused(text)
    assert error.message == f"The config has a mistake: c.toml, line {line}: {what}."
    assert hint in error.hint
    assert error.exit_code == 78


@pytest.mark.parametrize("text", ["[me", "name = 'Sam", "a = 1\na = 2", "[me]\nname = \x00"])
def test_what_is_not_toml_is_refused_with_the_place(text: str) -> None:
    assert refused(text).message.startswith("The config is not TOML: c.toml: ")


@pytest.mark.parametrize("data", [b"\xff\xfe[me]", b"[me]\nname = '\xe9'\n"])
def test_what_is_not_utf8_is_refused(file: Path, data: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(data)
    with pytest.raises(ConfigError, match="can't be read"):
        load(file)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text), Config)


# --- one setting ---


def test_every_name_that_can_be_set_has_a_value_and_a_meaning() -> None:
    for name in config_file.names():
        assert config_file.value_of(Config(), name) == config_file.row(name).default
        assert config_file.row(name).meaning


def test_the_settings_shown_are_the_table_and_the_kinds_that_were_set() -> None:
    shown = config_file.settings(parse("[kind.coffee]\nnudge = '2h'\n"))
    plain = [row.name for row in config.table() if "NAME" not in row.name]
    assert list(shown) == [*plain, "kind.coffee.nudge"]
    assert shown["kind.coffee.nudge"] == "2h"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("transport.knd", "transport.kind"),
        ("undo", "send.undo"),
        ("kind.coffee.nuge", "kind.coffee.nudge"),
        ("nudge.quiet", "nudge.quiet_hours"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        config_file.row(name)
    assert caught.value.hint == f"Did you mean {nearest}?"


@pytest.mark.parametrize("name", ["me", "transport.smtp", "", ".", "kind.NAME.nudge", "kind.Coffee.nudge", "me.name.x"])
def test_what_is_no_setting_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        config_file.value_of(Config(), name)


# --- setting ---


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("transport.kind", "smtp", "smtp"),
        ("transport.smtp.port", "587", 587),
        ("nudge.weekdays_only", "TRUE", True),
        ("nudge.channels", "terminal, desktop", ("terminal", "desktop")),
        ("nudge.channels", "", ()),
        ("nudge.quiet_hours", "", ""),
        ("kind.coffee.nudge", "next day 10:00", "next day 10:00"),
        ("kind.gift.best_by", "3d", "3d"),
        ("send.undo", "0s", "0s"),
        ("me.signature", "Sam Lee\nThe Difference Engine Co.", "Sam Lee\nThe Difference Engine Co."),
        ("me.name", 'José "Pepe" \\ Álvarez', 'José "Pepe" \\ Álvarez'),
        ("transport.smtp.password_command", "sh -c 'pass show \"mail\"'", "sh -c 'pass show \"mail\"'"),
    ],
)
def test_a_setting_is_written_and_read_again(file: Path, name: str, words: str, value: object) -> None:
    assert config_file.set_value(file, name, words) == value
    assert config_file.value_of(load(file), name) == value
    # Its own words set it again.
    again = config_file.as_words(config_file.value_of(load(file), name))
    assert config_file.set_value(file, name, again) == value


def test_a_new_file_and_its_folder_are_for_their_owner_alone(file: Path) -> None:
    config_file.set_value(file, "me.name", "Sam")
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_a_file_that_others_could_read_no_longer_can_be(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    file.chmod(0o644)
    config_file.set_value(file, "me.email", "sam@example.org")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_comments_order_and_all_else_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    config_file.set_value(file, "transport.kind", "smtp")
    assert file.read_text(encoding="utf-8") == COMMENTED.replace('kind = "maildir"', 'kind = "smtp"')
    config_file.set_value(file, "transport.smtp.host", "mail.example.org")
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    assert [line for line in COMMENTED.replace('"maildir"', '"smtp"').splitlines() if line and line not in kept] == []


@pytest.mark.parametrize(
    "text",
    [
        "transport = {kind = 'maildir'}\n",
        "transport.kind = 'maildir'\n",
        "[transport]\n[me]\nname = 'Sam'\n[transport.maildir]\npath = '/tmp/x'\n",
        "[transport.maildir]\npath = '/tmp/x'\n[me]\n[transport]\nkind = 'maildir'\n",
        "# only a comment",
        "[me]\r\nname = 'Sam'\r\n",
    ],
)
def test_every_way_to_write_a_table_takes_a_new_value(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode())
    before = tomllib.loads(text)
    config_file.set_value(file, "transport.kind", "smtp")
    config_file.set_value(file, "transport.smtp.host", "mail.example.org")
    after = tomllib.loads(file.read_bytes().decode())
    transport = {**before.get("transport", {}), "kind": "smtp", "smtp": {"host": "mail.example.org"}}
    assert after == {**before, "transport": transport}


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("transport.kind", "pigeon", "It is one of"),
        ("transport.smtp.port", "many", "whole number"),
        ("transport.smtp.port", "65536", "whole number"),
        ("transport.smtp.port", "-1", "whole number"),
        ("nudge.weekdays_only", "yes", "true or false"),
        ("nudge.channels", "desktop,pigeon", "desktop, push"),
        ("nudge.quiet_hours", "21:00", "21:00-08:30"),
        ("send.undo", "11m", "0s to 10m"),
        ("me.timezone", "Europe/Berln", "Europe/Berlin"),
        ("me.language", "ne", "en"),
        ("me.email", "sam", "ada@example.com"),
        ("me.name", "Sam\x1b[31m", "control"),
        ("me.name", "Sam\nLee", "control"),
        ("me.name", "x" * 2001, "2000"),
        ("me.name", "a\udcff", "control"),
        ("kind.coffee.nudge", "soon", "3h"),
        ("kind.cofee.nudge", "2h", "coffee"),
        ("no.such", "1", "thanksd config"),
    ],
)
def test_what_can_not_be_the_value_is_refused_and_the_file_stays(file: Path, name: str, words: str, hint: str) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        config_file.set_value(file, name, words)
    assert hint in caught.value.hint
    assert file.read_text(encoding="utf-8") == COMMENTED
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_a_file_with_a_mistake_is_not_written_over(file: Path) -> None:
    file.parent.mkdir()
    for text in ("[me\n", "[me]\nnam = 'x'\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError):
            config_file.set_value(file, "me.name", "Sam")
        assert file.read_text(encoding="utf-8") == text


def test_a_link_stays_a_link_and_its_target_changes(tmp_path: Path, file: Path) -> None:
    target = tmp_path / "dotfiles" / "thanksd.toml"
    target.parent.mkdir()
    target.write_text(COMMENTED, encoding="utf-8")
    file.parent.mkdir()
    file.symlink_to(target)
    config_file.set_value(file, "me.name", "Grace")
    assert file.is_symlink()
    assert load(target).me.name == "Grace"


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "thanksd").write_bytes(b"")
    with pytest.raises(PermissionDeniedError):
        config_file.set_value(tmp_path / "thanksd" / "config.toml", "me.name", "Sam")
    assert (tmp_path / "thanksd").read_bytes() == b""


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config_file.set_value(file, "me.name", "Sam")

    def full(descriptor: int) -> None:
        os.fstat(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="No space left on device") as caught:
        config_file.set_value(file, "me.name", "Grace")
    assert getattr(caught.value, "exit_code", None) == 75
    assert load(file).me.name == "Sam"
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_changes_at_the_same_time_all_count(file: Path) -> None:
    names = [f"kind.{kind}.best_by" for kind in policy.kinds()]
    threads = [threading.Thread(target=config_file.set_value, args=(file, name, "9d")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {kind: times.best_by for kind, times in load(file).kind.items()} == dict.fromkeys(policy.kinds(), "9d")
