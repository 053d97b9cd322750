from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import parts
import pytest

from thanksd import service
from thanksd.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from systemd_rigs import MachineUser

# Prints "LABEL Property=value" lines of the unit; `until` polls them, and never for more than 20 s.
_HELPERS = r"""
show() { for property in "${@:2}"; do echo "$1 $property=$(systemctl --user show thanksd -p "$property" --value)"; done; }
value() { systemctl --user show thanksd -p "$1" --value; }
until_true() { for _ in $(seq 200); do if "$@"; then return 0; fi; sleep 0.1; done; echo "gave up on: $*" >&2; return 1; }
active() { [ "$(value ActiveState)" = active ]; }
another() { active && [ "$(value MainPID)" != 0 ] && [ "$(value MainPID)" != "$1" ]; }
"""


def _verify(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    parts.need("systemd-analyze")
    unit = folder / "unit" / service.NAME
    unit.parent.mkdir(exist_ok=True)
    unit.write_text(text, encoding="utf-8")
    # Without --recursive-errors an unknown key is only a warning and the exit code stays 0.
    command = ["systemd-analyze", "--user", "verify", "--recursive-errors=one", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
    }


def test_uninstall_without_a_manager_removes_what_install_wrote(home: Path) -> None:
    with pytest.raises(UnavailableError):
        service.install(os.environ, _program(home / "bin"))
    assert service.status(os.environ)["installed"] is True
    assert "untouched" in service.uninstall(os.environ)
    assert service.status(os.environ)["installed"] is False
    assert service.uninstall(os.environ) == "There is no unit to remove."


def test_the_unit_starts_the_program_that_is_running(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(home / "venv/bin")
    link = home / "bin/thanksd"
    link.parent.mkdir()
    link.symlink_to(program)
    monkeypatch.setattr("sys.argv", [str(link), "service", "install"])
    assert service.program() == program
    monkeypatch.setenv("PATH", str(link.parent))
    monkeypatch.setattr("sys.argv", ["thanksd", "service", "install"])
    assert service.program() == program


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
