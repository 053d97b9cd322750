from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import parts
import pytest

from thanksd import __version__, service
from thanksd.errors import ConfigError, UnavailableError
from thanksd.service import furniture
from thanksd.service.unit import filled_in, texts

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

# Prints "LABEL Property=value" lines of the unit; `until` polls them, and never for more than 20 s.
_HELPERS = r"""
show() { for property in "${@:2}"; do echo "$1 $property=$(systemctl --user show thanksd -p "$property" --value)"; done; }
value() { systemctl --user show thanksd -p "$1" --value; }
until_true() { for _ in $(seq 200); do if "$@"; then return 0; fi; sleep 0.1; done; echo "gave up on: $*" >&2; return 1; }
active() { [ "$(value ActiveState)" = active ]; }
another() { local pid; pid=$(value MainPID); [ "$pid" != 0 ] && [ "$pid" != "$1" ] && active; }
"""


def _verify(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    parts.need("systemd-analyze")
    unit = folder / "unit" / service.NAME
    unit.parent.mkdir(exist_ok=True)
    unit.write_text(text, encoding="utf-8")
    written = filled_in(text)
    assert written is not None
    unit.with_name(service.ALARM).write_text(texts(written)[service.ALARM], encoding="utf-8")
    # Without --recursive-errors an unknown key is only a warning and the exit code stays 0.
    command = ["systemd-analyze", "--user", "verify", "--recursive-errors=one", str(unit)]
    return subprocess.run([*command, str(unit.with_name(service.ALARM))], capture_output=True, text=True, check=False)


def _program(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "thanksd"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def _said(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.splitlines())


def test_the_unit_is_clean_to_systemd(home: Path) -> None:
    done = _verify(service.unit_text(_program(home / "bin")), home)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_key_in_the_unit_would_be_seen(home: Path) -> None:
    text = service.unit_text(_program(home / "bin")).replace("UMask=", "UMaks=")
    assert _verify(text, home).returncode != 0


def test_the_unit_is_as_hard_as_its_work_allows(home: Path) -> None:
    parts.need("systemd-analyze")
    unit = home / service.NAME
    unit.write_text(service.unit_text("/bin/true"), encoding="utf-8")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_the_unit_lets_the_daemon_see_who_owns_a_letter() -> None:
    keys = {line.partition("=")[0] for line in service.unit_text("/bin/true").splitlines()}
    assert "PrivateUsers" in keys
    assert not keys & {"ProtectHome", "ProtectProc", "ProcSubset"}


@pytest.mark.parametrize("name", ["plain", "two words", "100%", "%h", "a$HOME", "${HOME}", "José", "semi;colon", "#x"])
def test_a_program_path_survives_systemds_own_reading(home: Path, name: str) -> None:
    done = _verify(service.unit_text(_program(home / name)), home)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "path", ["/a'b/thanksd", '/a"b/thanksd', "/a\\b/thanksd", "/a\nExecStartPre=/x/thanksd", "thanksd"]
)
def test_a_program_path_that_systemd_refuses_is_refused_before(path: str) -> None:
    with pytest.raises(ConfigError, match="Nothing was installed"):
        service.unit_text(path)


def test_the_daemon_shares_the_folders_of_who_installs_it(home: Path) -> None:
    environ = {"THANKSD_STORE": '/da "ta"/my 100%/x.db', "XDG_DATA_HOME": "/data", "HOME": "/h", "THANKSD_CONFIG": ""}
    text = service.unit_text(_program(home / "bin"), environ)
    assert r'Environment="THANKSD_STORE=/da \"ta\"/my 100%%/x.db"' in text.splitlines()
    assert 'Environment="XDG_DATA_HOME=/data"' in text.splitlines()
    assert 'ReadWritePaths="-/data"' in text.splitlines()
    assert r'ReadWritePaths="-/da \"ta\"/my 100%%"' in text.splitlines()
    assert "THANKSD_CONFIG" not in text
    assert _verify(text, home).returncode == 0


def test_a_path_typed_in_some_folder_means_that_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert f'Environment="THANKSD_STORE={home}/mine.db"' in service.unit_text("/bin/true", {"THANKSD_STORE": "mine.db"})


def test_no_secret_is_written_into_a_unit() -> None:
    environ = {"THANKSD_STORE": "postgresql://ada:hunter2@db/thanks", "SMTP_PASSWORD": "hunter2"}
    with pytest.raises(ConfigError) as refused:
        service.unit_text("/bin/true", environ)
    assert "hunter2" not in refused.value.message + refused.value.hint
    assert "hunter2" not in service.unit_text("/bin/true", {"SMTP_PASSWORD": "hunter2"})


def test_the_unit_of_a_shared_ledger_knows_the_server_and_sees_its_socket(home: Path) -> None:
    environ = {
        "THANKSD_STORE": "postgresql:///thanks?host=/tmp/pg",
        "PGPASSFILE": "/etc/pass",
        "PGPASSWORD": "hunter2",
        "PGHOST": "/var/tmp/pg",
    }
    text = service.unit_text("/bin/true", environ)
    for line in (
        'Environment="THANKSD_STORE=postgresql:///thanks?host=/tmp/pg"',
        'Environment="PGPASSFILE=/etc/pass"',
        # PrivateTmp= would hide them.
        'BindReadOnlyPaths="-/tmp/pg"',
        'BindReadOnlyPaths="-/var/tmp/pg"',
    ):
        assert line in text.splitlines()
    assert "hunter2" not in text
    assert "PGPASSFILE" not in service.unit_text("/bin/true", {**environ, "THANKSD_STORE": str(home / "mine.db")})
    found = filled_in(text)
    assert found is not None
    assert texts(found)[service.NAME] == text
    assert _verify(text, home).returncode == 0
    with pytest.raises(ConfigError):
        service.unit_text("/bin/true", {"THANKSD_STORE": "postgresql:///thanks?user=a&password=hunter2"})


def test_without_a_user_manager_the_unit_is_written_and_the_hint_says_how_to_start_it(home: Path) -> None:
    program = _program(home / "bin")
    with pytest.raises(UnavailableError) as refused:
        service.install(os.environ, program)
    unit = home / ".config/systemd/user" / service.NAME
    assert unit.read_text(encoding="utf-8") == service.unit_text(program, os.environ)
    assert unit.stat().st_mode & 0o777 == 0o600
    assert str(unit) in refused.value.message
    assert "systemctl --user enable --now thanksd" in refused.value.hint
    assert "thanksd run" in refused.value.hint


def test_without_systemd_the_status_is_unknown_and_nothing_fails(home: Path) -> None:
    nowhere = {"HOME": str(home), "PATH": str(home)}
    unit = str(home / ".config/systemd/user" / service.NAME)
    assert service.status(nowhere) == {
        "installed": False,
        "enabled": False,
        "active": "unknown",
        "pid": None,
        "unit": unit,
        "exec_start": None,
        "program_exists": False,
        "program_version": None,
        "unit_current": False,
    }


def test_uninstall_without_a_manager_removes_what_install_wrote(home: Path) -> None:
    with pytest.raises(UnavailableError):
        service.install(os.environ, _program(home / "bin"))
    assert service.status(os.environ)["installed"] is True
    assert "untouched" in service.uninstall(os.environ)
    assert service.status(os.environ)["installed"] is False
    assert service.uninstall(os.environ) == "There is no unit to remove."


def test_the_unit_starts_the_program_by_the_name_it_was_run_by(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the link in ~/.local/bin leads to is made anew by every upgrade.
    link = home / "bin/thanksd"
    link.parent.mkdir()
    link.symlink_to(_program(home / "venv/bin"))
    monkeypatch.setattr("sys.argv", [str(link), "service", "install"])
    assert service.program() == str(link)
    monkeypatch.setenv("PATH", str(link.parent))
    monkeypatch.setattr("sys.argv", ["thanksd", "service", "install"])
    assert service.program() == str(link)
    monkeypatch.chdir(home / "venv")
    monkeypatch.setattr("sys.argv", ["../bin/thanksd", "service", "install"])
    assert service.program() == str(link)


@pytest.mark.parametrize(
    ("script", "exists", "version"),
    [
        (f"#!/bin/sh\necho thanksd {__version__}\n", True, __version__),
        ("#!/nowhere/python3\n", True, None),
        ("#!/bin/sh\necho 'No module named thanksd' >&2; exit 1\n", True, None),
        ("", False, None),
    ],
    ids=["works", "its python is gone", "its library is gone", "gone"],
)
def test_status_tells_whether_the_units_program_still_works(
    home: Path, *, script: str, exists: bool, version: str | None
) -> None:
    program = Path(_program(home / "bin"))
    with pytest.raises(UnavailableError):
        service.install(os.environ, str(program))
    if script:
        program.write_text(script, encoding="utf-8")
    else:
        program.unlink()
    found = service.status(os.environ)
    wanted = {"exec_start": str(program), "program_exists": exists, "program_version": version, "unit_current": True}
    assert {key: found[key] for key in wanted} == wanted


def test_a_unit_of_another_version_is_seen_and_renewed_with_what_was_filled_in(home: Path) -> None:
    program = _program(home / "100% bin")
    environ = {**os.environ, "THANKSD_STORE": str(home / "x.db")}
    with pytest.raises(UnavailableError):
        service.install(environ, program)
    unit = home / ".config/systemd/user" / service.NAME
    written = unit.read_text(encoding="utf-8")
    unit.write_text(written.replace("WatchdogSec=100s", "WatchdogSec=60s"), encoding="utf-8")
    unit.with_name(service.ALARM).unlink()
    assert service.status(os.environ)["unit_current"] is False
    with pytest.raises(UnavailableError, match="could not be restarted"):
        service.renew(os.environ, program)
    assert unit.read_text(encoding="utf-8") == written
    assert service.status(os.environ)["unit_current"] is True


def test_another_programs_unit_is_not_renewed(home: Path) -> None:
    with pytest.raises(UnavailableError):
        service.install(os.environ, _program(home / "bin"))
    assert "left alone" in service.renew(os.environ, _program(home / "other"))
    assert service.renew({**os.environ, "HOME": "/nowhere", "XDG_CONFIG_HOME": ""}, "/bin/thanksd") == ""


@pytest.mark.parametrize("name", ["plain", "two words", "100%", "a$HOME", "back`tick", "José"])
def test_the_menu_entry_is_good_whatever_the_programs_path(home: Path, name: str) -> None:
    parts.need("desktop-file-validate")
    program = str(home / name / "thanksd")
    environ = {**os.environ, "THANKSD_STORE": str(home / 'my "own".db')}
    furniture.put(furniture.desktop_files(environ, program))
    entry, icon = furniture.desktop_places(environ)
    done = subprocess.run(["desktop-file-validate", str(entry)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert ET.parse(icon).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own
    said = [line for line in entry.read_text(encoding="utf-8").splitlines() if line.startswith("Exec=")]
    escaped = program.replace("%", "%%").replace("$", r"\\$").replace("`", r"\\`")
    wanted = rf'Exec=env THANKSD_OPENED=popup "{escaped}" "--store" "{home}/my \\"own\\".db" review'
    assert said[-1] == wanted


def test_files_of_somebody_else_are_neither_written_over_nor_removed(home: Path) -> None:
    entry, icon = furniture.desktop_places(os.environ)
    entry.parent.mkdir(parents=True)
    entry.write_text("mine", encoding="utf-8")
    assert furniture.put(furniture.desktop_files(os.environ, "/bin/thanksd")) == [entry]
    furniture.take_away([entry, icon])
    assert (entry.read_text(encoding="utf-8"), icon.exists(), home.exists()) == ("mine", False, True)


def test_what_is_no_program_of_its_own_is_not_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(home / "__main__.py")])
    monkeypatch.setattr("sys.executable", str(home / "python3"))
    with pytest.raises(UnavailableError):
        service.program()


def test_the_rig_runs_a_real_user_manager_and_leaves_nothing(machine_user: MachineUser) -> None:
    done = machine_user.run("systemctl --user is-system-running; id -un; thanksd --version >/dev/null; echo $?")
    assert {"running", machine_user.name, "0"} <= _said(done)
    assert not subprocess.run(["pgrep", "-u", machine_user.name], check=False, capture_output=True).stdout


def test_the_installed_daemon_comes_back_after_a_kill_and_stops_cleanly(machine_user: MachineUser) -> None:
    said = _said(
        machine_user.run(
            _HELPERS
            + r"""
            thanksd service install >&2 || exit 1
            show installed ActiveState UnitFileState NRestarts
            first=$(value MainPID)
            kill -9 "$first"
            until_true another "$first" || exit 1
            show killed ActiveState NRestarts
            systemctl --user stop thanksd
            show stopped ActiveState Result ExecMainStatus
            """,
            timeout=120,
        )
    )
    assert {"installed ActiveState=active", "installed UnitFileState=enabled", "installed NRestarts=0"} <= said
    assert {"killed ActiveState=active", "killed NRestarts=1"} <= said
    assert {"stopped ActiveState=inactive", "stopped Result=success", "stopped ExecMainStatus=0"} <= said


def test_installing_again_puts_a_new_daemon_under_the_new_unit(machine_user: MachineUser) -> None:
    said = _said(
        machine_user.run(
            _HELPERS
            + r"""
            thanksd service install >&2 || exit 1
            first=$(value MainPID)
            mkdir -p ~/other
            THANKSD_STORE=~/other/mine.db thanksd service install >&2 || exit 1
            another "$first" && echo renewed
            tr '\0' '\n' <"/proc/$(value MainPID)/environ" | grep ^THANKSD_STORE
            """,
            timeout=120,
        )
    )
    assert {"renewed", f"THANKSD_STORE={machine_user.home}/other/mine.db"} <= said


def test_uninstalling_stops_the_daemon_and_keeps_the_ledger(machine_user: MachineUser) -> None:
    said = _said(
        machine_user.run(
            _HELPERS
            + r"""
            thanksd service install >&2 || exit 1
            thanksd service uninstall >&2 || exit 1
            show gone ActiveState LoadState
            ls ~/.config/systemd/user ~/.config/systemd/user/default.target.wants | grep thanksd
            test -s ~/.local/share/thanksd/thanksd.db && echo kept
            """,
            timeout=120,
        )
    )
    assert {"gone ActiveState=inactive", "gone LoadState=not-found", "kept"} <= said
    assert not [line for line in said if "thanksd.service" in line]


def test_service_status_tells_a_script_what_a_person_sees(machine_user: MachineUser) -> None:
    said = _said(
        machine_user.run(
            _HELPERS
            + r"""
            fields='import json,sys; d = json.load(sys.stdin)["service"]; print(sys.argv[1], d["installed"], d["enabled"], d["active"])'
            thanksd service status --json | /usr/bin/python3 -c "$fields" before
            thanksd service install >&2 || exit 1
            thanksd service status --json | /usr/bin/python3 -c "$fields" after
            """,
            timeout=120,
        )
    )
    assert {"before False False inactive", "after True True active"} <= said


_DESKTOP = r"""
Xvfb -displayfd 5 -screen 0 800x600x24 -nolisten tcp 5>~/display 2>/dev/null &
until_true test -s ~/display
export DISPLAY=:$(cat ~/display)
printf '[global]\n    idle_threshold = 0\n' >~/dunstrc
dunst -conf ~/dunstrc >/dev/null 2>&1 &
shown() { [ "$(dunstctl count displayed 2>/dev/null)" = "$1" ]; }
until_true shown 0
"""
# Given up after the third start, and not after a minute of them.
_DROP_IN = "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=100ms\n"


def test_a_daemon_that_systemd_gave_up_is_said_on_the_desktop_until_it_runs_again(machine_user: MachineUser) -> None:
    parts.need("Xvfb", "dunst", "dunstctl")
    machine_user.write(".config/systemd/user/thanksd.service.d/quick.conf", _DROP_IN)
    said = _said(
        machine_user.run(
            _HELPERS
            + r"""
            thanksd service install >&2 || exit 1
            failed() { [ "$(value ActiveState)" = failed ]; }
            alarm() { [ "$(systemctl --user show thanksd-failed -p ActiveState --value)" = "$1" ]; }
            kill_it() { systemctl --user kill -s KILL thanksd; failed; }
            until_true active && kill_it
            until_true another 0
            shows=$(systemctl --user show thanksd-failed -p ActiveState --value); echo "alarm after one kill $shows"
            until_true kill_it 2>&1
            until_true alarm active || exit 1
            show given-up ActiveState
            """
            # A desktop that comes after the alarm, as at a login.
            + _DESKTOP
            + r"""
            until_true shown 1 || exit 1
            systemctl --user reset-failed thanksd
            systemctl --user start thanksd || exit 1
            until_true shown 0 && until_true alarm inactive || exit 1
            dunstctl history | grep -o '"data" *: *"[^"]*[a-z][^"]*"' | grep -i 'remind\|running'
            show mended ActiveState

            until_true kill_it
            until_true shown 1 || exit 1
            dunstctl close
            until_true alarm inactive && echo read
            thanksd service uninstall >&2
            ls ~/.config/systemd/user
            """,
            timeout=120,
        )
    )
    assert {
        "alarm after one kill inactive",
        "given-up ActiveState=failed",
        "mended ActiveState=active",
    } <= said
    assert {'"data" : "Nobody will remind you"', "read"} <= said
    assert '"data" : "The daemon is not running.\\nStart it: thanksd service install"' in said
    assert not {line for line in said if line.endswith(".service")}


def test_a_mistake_in_the_settings_or_no_wish_for_popups_is_respected_by_the_alarm(machine_user: MachineUser) -> None:
    machine_user.write(".config/thanksd/config.toml", '[nudge]\nchannels = ["terminal"]\n')
    done = machine_user.run("timeout 10 thanksd service alarm; echo $?; thanksd help man | grep -c 'service alarm'")
    assert done.stdout.split() == ["0", "0"], done.stderr
