"""The opener: each terminal's own way, a real xterm, and what is said where none opens."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import desktop_rigs as rigs
import parts
import pytest

from thanksd.channels import opener
from thanksd.channels.opener import browser_argv, open_page, open_terminal, terminal_argv
from thanksd.errors import UnavailableError

COMMAND = ["/opt/thanksd", "review", "7"]


def only(*names: str) -> Callable[..., str | None]:
    """Give a `which` on a machine with just these programs."""
    return lambda name, **_: f"/usr/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("xdg-terminal-exec", []),
        ("x-terminal-emulator", ["-e"]),
        ("gnome-terminal", ["--"]),
        ("konsole", ["-e"]),
        ("xfce4-terminal", ["-x"]),
        ("mate-terminal", ["-x"]),
        ("lxterminal", ["-e"]),
        ("alacritty", ["-e"]),
        ("kitty", []),
        ("foot", []),
        ("wezterm", ["start", "--"]),
        ("st", ["-e"]),
        ("urxvt", ["-e"]),
        ("xterm", ["-e"]),
    ],
)
def test_each_terminal_gets_the_command_its_own_way(name: str, form: list[str]) -> None:
    argv = [f"/usr/bin/{name}", *form, *COMMAND]
    assert terminal_argv("auto", COMMAND, {}, only(name)) == argv
    assert terminal_argv(name, COMMAND, {}, only(name)) == argv


def test_auto_asks_the_desktops_choice_before_debians_before_any_other() -> None:
    everything = only("xterm", "gnome-terminal", "x-terminal-emulator", "xdg-terminal-exec")
    assert terminal_argv("auto", COMMAND, {}, everything)[0] == "/usr/bin/xdg-terminal-exec"
    rest = only("xterm", "gnome-terminal", "x-terminal-emulator")
    assert terminal_argv("", COMMAND, {}, rest)[0] == "/usr/bin/x-terminal-emulator"


def test_ones_own_terminal_keeps_its_options_and_an_unknown_one_gets_e() -> None:
    assert terminal_argv("foot -a 'my x'", ["a"], {}, only("foot")) == ["/usr/bin/foot", "-a", "my x", "a"]
    assert terminal_argv("myterm -q", ["a"], {}, only("myterm")) == ["/usr/bin/myterm", "-q", "-e", "a"]
    path = terminal_argv("/opt/kitty", ["a"], {}, lambda name, **_: name)
    assert path == ["/opt/kitty", "a"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("auto", "No terminal program"),
        ("nosuch -x", "nosuch was not found"),
        ("foot 'x", "can't be read"),
        ("''", " was not found"),
    ],
)
def test_a_terminal_that_is_not_there_is_said_with_what_to_do(setting: str, said: str) -> None:
    with pytest.raises(UnavailableError, match=said) as caught:
        terminal_argv(setting, COMMAND, {}, only())
    assert caught.value.hint.endswith("thanksd config set nudge.terminal NAME")


def test_programs_are_looked_up_on_the_path_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "xterm").write_text("")
    (tmp_path / "xterm").chmod(0o700)
    assert terminal_argv("auto", ["a"], {"PATH": str(tmp_path)})[0] == str(tmp_path / "xterm")


def test_a_real_terminal_runs_the_command_with_the_token_and_without_the_daemons_variables(tmp_path: Path) -> None:
    parts.need("Xvfb", "xterm", "setpriv")
    out, release = tmp_path / "out", tmp_path / "release"
    os.mkfifo(release)
    # It stays open until the test lets go: opening must not wait for its end.
    script = f"tty; env; read x < {release}"
    command = ["sh", "-c", f"({script}) > {out}.new; mv {out}.new {out}"]
    with rigs.screen() as display:
        environ = {"PATH": os.environ["PATH"], "DISPLAY": display, "NOTIFY_SOCKET": "/x", "SECRET_TOKEN": "kept"}
        begun = time.monotonic()
        asyncio.run(open_terminal("xterm", command, "token-1", environ))
        assert time.monotonic() - begun < opener.LIMIT
        assert not out.exists()
        release.write_text("go\n")
        rigs.wait_for(out.exists)
    lines = out.read_text().splitlines()
    assert lines[0].startswith("/dev/pts/")
    assert "XDG_ACTIVATION_TOKEN=token-1" in lines
    assert not [row for row in lines if row.startswith("NOTIFY_SOCKET=")]


def test_debians_own_choice_of_terminal_opens(tmp_path: Path) -> None:
    parts.need("Xvfb", "x-terminal-emulator", "setpriv")
    out = tmp_path / "out"
    with rigs.screen() as display:
        environ = {"PATH": os.environ["PATH"], "DISPLAY": display, "HOME": str(tmp_path)}
        asyncio.run(open_terminal("x-terminal-emulator", ["touch", str(out)], "", environ))
        rigs.wait_for(out.exists)


def test_a_terminal_that_finds_no_display_is_not_taken_for_open() -> None:
    parts.need("xterm")
    environ = {"PATH": os.environ["PATH"], "DISPLAY": ":54321"}
    with pytest.raises(UnavailableError, match=r"No window opened: .*display"):
        asyncio.run(open_terminal("xterm", ["true"], "", environ))


def test_a_program_that_can_not_be_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("#!/nonexistent\n")
    (tmp_path / "broken").chmod(0o700)
    with pytest.raises(UnavailableError, match="could not be started"):
        asyncio.run(open_terminal(str(tmp_path / "broken"), ["true"], "", {"PATH": os.environ["PATH"]}))


def test_a_terminal_is_in_a_session_of_its_own_and_outlives_the_loop(tmp_path: Path) -> None:
    out, release = tmp_path / "out", tmp_path / "release"
    os.mkfifo(release)
    (tmp_path / "term").write_text(
        f"#!/bin/sh\nread go < {release}\ncut -d' ' -f6 /proc/$$/stat > {out}.new\nmv {out}.new {out}\n"
    )
    (tmp_path / "term").chmod(0o700)
    asyncio.run(open_terminal(str(tmp_path / "term"), ["true"], "", {"PATH": os.environ["PATH"]}))
    release.write_text("go\n")
    rigs.wait_for(out.exists)
    assert int(out.read_text()) != os.getsid(0)


def _manager(folder: Path, script: str) -> dict[str, str]:
    """Give the environment of a session with a user manager whose systemd-run is `script`: hangs can't be had for real."""
    (folder / "systemd").mkdir()
    (folder / "systemd" / "private").touch()
    (folder / "systemd-run").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "systemd-run").chmod(0o700)
    (folder / "xterm").symlink_to("/bin/true")
    return {"PATH": f"{folder}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "DISPLAY": ":9"}


def test_where_there_is_a_user_manager_it_starts_the_terminal(tmp_path: Path) -> None:
    environ = _manager(tmp_path, f'echo "Running as unit: run-u1.service" >&2; printf "%s\\n" "$@" > {tmp_path}/argv')
    asyncio.run(open_terminal("xterm", COMMAND, "token-1", environ))
    assert (tmp_path / "argv").read_text().splitlines() == [
        "--user",
        "--collect",
        "--wait",
        "--setenv=DISPLAY=:9",
        "--setenv=XDG_ACTIVATION_TOKEN=token-1",
        "--setenv=DESKTOP_STARTUP_ID=token-1",
        "--",
        str(tmp_path / "xterm"),
        "-e",
        *COMMAND,
    ]


def test_as_a_unit_the_display_is_left_to_the_manager(tmp_path: Path) -> None:
    environ = _manager(tmp_path, f'echo "$@" > {tmp_path}/argv') | {"INVOCATION_ID": "0123"}
    asyncio.run(open_terminal("xterm", COMMAND, "", environ))
    assert "--setenv" not in (tmp_path / "argv").read_text()


def test_a_manager_that_hangs_is_given_up_after_five_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "LIMIT", 0.5)
    environ = _manager(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 300")
    with pytest.raises(UnavailableError, match="within 5 seconds"):
        asyncio.run(open_terminal("xterm", COMMAND, "", environ))
    pid = (tmp_path / "pid").read_text().strip()
    rigs.wait_for(lambda: not Path("/proc", pid).exists())


def test_a_manager_that_refuses_is_quoted(tmp_path: Path) -> None:
    environ = _manager(tmp_path, "echo 'Failed to start transient service unit: denied' >&2; exit 1")
    with pytest.raises(UnavailableError, match="No window opened: Failed to start transient service unit: denied"):
        asyncio.run(open_terminal("xterm", COMMAND, "", environ))


def test_a_terminal_that_leaves_the_manager_at_once_is_not_taken_for_open(tmp_path: Path) -> None:
    environ = _manager(tmp_path, "echo 'Running as unit: run-u1.service' >&2; sleep 0.2; echo Finished >&2; exit 3")
    with pytest.raises(UnavailableError, match=r"No window opened: it left at once, with exit code 3\."):
        asyncio.run(open_terminal("xterm", COMMAND, "", environ))


def test_a_page_is_opened_by_the_manager_so_that_the_browser_outlives_what_started_it(tmp_path: Path) -> None:
    environ = _manager(tmp_path, f'echo "Running as unit: run-u1.service" >&2; printf "%s\\n" "$@" > {tmp_path}/argv')
    asyncio.run(open_page("xterm --new", "http://127.0.0.1:1/enter/x", "", environ))
    words = (tmp_path / "argv").read_text().splitlines()
    assert "--property=KillMode=process" in words
    assert words[words.index("--") + 1 :] == [str(tmp_path / "xterm"), "--new", "http://127.0.0.1:1/enter/x"]


def test_the_desktop_s_browser_is_taken_first_and_none_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path)}
    assert browser_argv("auto", environ) is None
    for name in ("firefox", "gio", "xdg-open"):
        (tmp_path / name).symlink_to("/bin/true")
        found = browser_argv("auto", environ)
    assert found == [str(tmp_path / "xdg-open")]
    with pytest.raises(UnavailableError) as raised:
        asyncio.run(open_page("no-such-browser", "http://127.0.0.1:1/", "", environ))
    assert "page.browser" in raised.value.hint
    with pytest.raises(UnavailableError, match=r"page\.browser can't be read"):
        browser_argv("'", environ)
