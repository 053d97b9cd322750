from __future__ import annotations

import pwd
import re
import subprocess
import tarfile
import tomllib
import zipfile
from os import getuid
from pathlib import Path
from typing import Any

import parts
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
LOCKS = (
    "requirements.lock",
    "requirements-build.lock",
    "requirements-dev.lock",
    "requirements-postgres.lock",
    "requirements-push.lock",
)
SHIPPED = ("templates", "migrations", "systemd")
INSIDE = ("thanksd/desktop", "thanksd/help", "thanksd/page/html", "thanksd/page/static", "thanksd/page/words")


def _project() -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return document


def _names(requirements: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]).lower() for line in requirements}


def _locked(lock: str) -> dict[str, str]:
    lines = (CHECKOUT / lock).read_text(encoding="utf-8").splitlines()
    return dict(line.split()[0].split("==") for line in lines if line and not line.startswith((" ", "#")))


def _committed() -> list[Path]:
    """What is committed, or would be: git's own list, less what is ignored."""
    parts.need("git")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := CHECKOUT / name).is_file()]


def test_the_wheel_holds_every_file_that_is_needed_at_run_time(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tree = [path for folder in SHIPPED for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
    wanted = {f"thanksd/{path.relative_to(CHECKOUT)}" for path in tree if "__pycache__" not in path.parts}
    code = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "thanksd").rglob("*.py")}
    assert {folder for folder in SHIPPED if not any(name.startswith(f"thanksd/{folder}/") for name in held)} == set()
    wanted |= {str(path.relative_to(CHECKOUT)) for folder in INSIDE for path in (CHECKOUT / folder).iterdir()}
    assert wanted - held == set()
    assert code - held == set()
    assert "thanksd/py.typed" in held


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    outside = [name for name in names if not re.match(r"thanksd(-[^/]+\.dist-info)?/", name)]
    left_over = [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db", "~"))]
    assert (outside, left_over) == ([], [])


def test_the_wheel_brings_the_command_the_licence_and_the_dependencies(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    metadata = archive.read(f"{info}/METADATA").decode()
    asked = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    runtime = [line for line in asked if "extra ==" not in line]
    assert "thanksd = thanksd.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert _names(runtime) == _names(_project()["project"]["dependencies"])


def test_the_wheel_brings_the_driver_of_a_shared_ledger_to_who_asks_for_it(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(name).decode().splitlines()
    asked = [line.removeprefix("Requires-Dist: ") for line in lines if "extra == 'postgres'" in line]
    assert "Provides-Extra: postgres" in lines
    assert [one.split(";")[0].strip() for one in asked] == _project()["project"]["optional-dependencies"]["postgres"]


def test_the_sdist_can_be_tested_and_packaged_again(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "pyproject.toml", "tests/conftest.py", "systemd/thanksd.service", *LOCKS} <= held


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = _project()
    runtime, dev, build = (_locked(lock) for lock in ("requirements.lock", "requirements-dev.lock", LOCKS[1]))
    assert _names(project["project"]["dependencies"]) - set(runtime) == set()
    assert _names(project["project"]["optional-dependencies"]["dev"]) - set(dev) == set()
    extra = _locked("requirements-postgres.lock")
    assert _names(project["project"]["optional-dependencies"]["postgres"]) - set(extra) == set()
    assert runtime.items() - extra.items() == set()
    assert _names(project["build-system"]["requires"]) - set(build) == set()


def test_the_locks_agree_with_each_other() -> None:
    dev = _locked("requirements-dev.lock")
    for lock in LOCKS:
        assert {name: version for name, version in _locked(lock).items() if dev.get(name) != version} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_its_hashes(lock: str) -> None:
    text = (CHECKOUT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(blocks) > 1
    assert [block.split()[0] for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", block)] == []
    assert "://" not in text


# Put together here, so that this file does not hold the words it looks for.
_HOSTS = tuple(host.encode() for host in ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "crates" + ".io"))


def test_no_committed_file_names_a_package_registry() -> None:
    found = [(path.name, host) for path in _committed() for host in _HOSTS if host in path.read_bytes()]
    assert found == []


def test_no_committed_file_knows_the_machine_it_was_written_on() -> None:
    own = {str(CHECKOUT), pwd.getpwuid(getuid()).pw_dir}
    usual = {"/" + folder for folder in ("work", "root", "opt/pypi", "opt/wheels")}
    patterns = [re.compile(rb"(?<![\w./-])" + re.escape(folder.encode()) + rb"/") for folder in own | usual]
    found = [(path.name, p.pattern) for path in _committed() for p in patterns if p.search(path.read_bytes())]
    assert found == []


def test_every_command_of_ci_can_be_run_from_anywhere() -> None:
    scripts = sorted((CHECKOUT / ".ci").glob("[!_]*"))
    assert [path.name for path in scripts] == ["install.py", "package", "parts", "run"]
    for path in scripts[1:]:
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
        assert "set -euo pipefail" in path.read_text(encoding="utf-8")
