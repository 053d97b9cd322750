# ruff: noqa: INP001  a script beside the others, no package
"""`make install` and `make uninstall`: thanksd for the user who runs this, below their home, without root.

A version is built in a folder of its own (`venvs/`), and `venv` is a link that is moved to it in one step when built:
so a failed upgrade changes nothing, and what runs the version before goes on with it. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from thanksd import __version__, paths, service  # noqa: E402  found by the line above
from thanksd.errors import (  # noqa: E402  as above
    PermissionDeniedError,
    ThanksdError,
    TryLaterError,
    UnavailableError,
    UsageError,
)
from thanksd.service import furniture  # noqa: E402  as above

LINK = furniture.link(os.environ)
VENV = furniture.program_folder(os.environ)
VENVS = VENV.with_name("venvs")
PROGRAM = VENV / "bin/thanksd"

# An extra: what its lock holds beside everything else, and the package that shows that it is there.
EXTRAS = {
    "postgres": ("requirements-postgres.lock", "psycopg"),
    "push": ("requirements-push.lock", "apprise"),
}

_TO_BASH = "echo 'export PATH=\"$HOME/.local/bin:$PATH\"' >> "
_MENDS = {"bash": f"{_TO_BASH}~/.bashrc", "zsh": f"{_TO_BASH}~/.zshrc", "fish": "fish_add_path ~/.local/bin"}


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201  what it is for; before pip's own words, which come from a process beside us


def install(*extras: str) -> None:
    """Build this version beside the one that is there, put it in its place, and restart a daemon that runs.

    `extras` are wanted besides; those that were here stay.
    """
    locks = _locks({*extras, *_extras_here()})
    _refuse_root_of_somebody()
    _refuse_what_is_not_ours()
    was_here = LINK.is_symlink()
    _say("Setting up thanksd in your home (a minute, once) ...")
    paths.private_folder(VENV.parent)
    paths.private_folder(VENVS)
    with _alone():
        fresh = _built(locks, was_here=was_here)
        _point(VENV, Path("venvs") / fresh.name)
        LINK.parent.mkdir(parents=True, exist_ok=True)
        _point(LINK, PROGRAM)
        done = [subprocess.run([LINK, "service", step], check=False).returncode for step in ("furnish", "renew")]
        _tidy(fresh)
    _say_the_end()
    if any(done):
        sys.exit(max(done))


def _locks(extras: set[str]) -> list[Path]:
    """Give the locks to install together. Raises UsageError for an extra that there is not."""
    if unknown := extras - EXTRAS.keys():
        raise UsageError(
            f"There is no extra {min(unknown)!r}. Nothing was changed.", f"There is: make install EXTRAS={min(EXTRAS)}"
        )
    names = [EXTRAS[name][0] for name in sorted(extras)] or ["requirements.lock"]
    return [CHECKOUT / name for name in names]


def _extras_here() -> set[str]:
    """Give the extras that were installed before."""
    return {name for name, (_, package) in EXTRAS.items() if [*VENV.glob(f"lib/*/site-packages/{package}-*.dist-info")]}


def _refuse_root_of_somebody() -> None:
    if os.geteuid() == 0 and os.environ.get("SUDO_USER", "root") != "root":
        raise PermissionDeniedError("thanksd is installed for you, not for root. Nothing was changed.", "make install")


def _refuse_what_is_not_ours() -> None:
    if os.path.lexists(LINK) and not furniture.is_made(os.environ):
        raise PermissionDeniedError(
            f"Another thanksd is there, not of make install: {LINK}. Nothing was changed.",
            "Remove it first (pipx's: pipx uninstall thanksd), then: make install",
        )
    if VENV.exists() and not VENV.is_symlink():
        raise PermissionDeniedError(
            f"Something else has the program's place: {VENV}. Nothing was changed.", "Move it away, then: make install"
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a second `make install` out meanwhile."""
    folder = os.open(VENVS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise TryLaterError("Another make install is at work.", "Wait for it to end.") from error
    finally:
        os.close(folder)


def _built(locks: list[Path], *, was_here: bool) -> Path:
    """Build this version in a new folder, and give that. Raises UnavailableError, with nothing left behind."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{__version__}-", dir=VENVS))
    try:
        _build(fresh, locks)
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        kept = " The thanksd that was here works as before." if was_here else ""
        raise UnavailableError(
            f"thanksd could not be set up: no network, or the disk is full?{kept}", "Try again: make install"
        ) from error
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return fresh


def _build(fresh: Path, locks: list[Path]) -> None:
    """Make the environment: what is locked, by its hashes, and this checkout's wheel, built by the locked backend."""
    subprocess.run([sys.executable, "-m", "venv", fresh], check=True)
    pip: list[str | Path] = [fresh / "bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = [word for lock in locks for word in ("-r", lock)]
    subprocess.run([*pip, "install", "--require-hashes", *wanted], check=True)
    with tempfile.TemporaryDirectory(dir=VENVS) as work:
        tools: list[str | Path] = ["--target", f"{work}/tools", "-r", CHECKOUT / "requirements-build.lock"]
        subprocess.run([*pip, "install", "--require-hashes", *tools], check=True)
        wheel: list[str | Path] = ["--no-deps", "--no-build-isolation", "--wheel-dir", work, CHECKOUT]
        subprocess.run([*pip, "wheel", *wheel], check=True, env={**os.environ, "PYTHONPATH": f"{work}/tools"})
        subprocess.run([*pip, "install", "--no-deps", *Path(work).glob("*.whl")], check=True)
    # That it starts is seen before anything is replaced.
    subprocess.run([fresh / "bin/thanksd", "--version"], check=True, stdout=subprocess.DEVNULL)


def _point(link: Path, target: Path) -> None:
    """Make a link, or move it, in one step."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _tidy(fresh: Path) -> None:
    """Remove other versions, unless something still runs one: a review that is open."""
    running = [_command_line(process) for process in Path("/proc").glob("[0-9]*")]
    for folder in VENVS.iterdir():
        if folder.name != fresh.name and not any(str(folder) in words for words in running):
            shutil.rmtree(folder, ignore_errors=True)


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # it has ended meanwhile


def _say_the_end() -> None:
    _say(f"thanksd {__version__} is installed: {LINK}")
    _say('With it: "Thank somebody" in your menu, completion for bash, zsh, fish; man thanksd.')
    shell = Path(os.environ.get("SHELL", "")).name
    if shell == "zsh":
        folder = furniture.shell_places(os.environ)["zsh"].parent
        _say(f"zsh completes it with this line in ~/.zshrc, above compinit:  fpath=({shlex.quote(str(folder))} $fpath)")
    found = shutil.which("thanksd")
    if str(LINK.parent) not in os.environ.get("PATH", "").split(os.pathsep):
        _say("Your PATH does not have ~/.local/bin yet.")
        _say("Type this line once, then open a new terminal:")
        _say(f"    {_MENDS.get(shell, f'{_TO_BASH}~/.profile')}")
    elif found is not None and Path(found) != LINK:
        _say(f"Your PATH has ~/.local/bin, but another thanksd comes before it: {found}")
    else:
        _say("Your PATH has ~/.local/bin.")
    _say("Next: thanksd" if _is_set_up() else "Next: thanksd init")


def _is_set_up() -> bool:
    """Say whether there are settings already: this was an upgrade then."""
    return paths.config_file().exists()


def uninstall() -> None:
    """Stop the daemon, and remove what `install` made; ledger, settings and templates stay."""
    waiting = _letters_waiting()
    _remove_unit()
    furniture.take_away([*furniture.desktop_places(os.environ), *furniture.shell_places(os.environ).values()])
    made = furniture.is_made(os.environ)
    if made:
        LINK.unlink()
    elif os.path.lexists(LINK):
        _say(f"Left alone, as make install did not put it there: {LINK}")
    if VENV.is_symlink():
        VENV.unlink()
    if VENVS.is_dir():
        shutil.rmtree(VENVS)
    _say("thanksd is uninstalled." if made else "thanksd is not installed here by make install.")
    if waiting:
        _say(f"Letters that wait and will not leave now: {waiting}.")
    _say_what_stays()


def _letters_waiting() -> int:
    """Count the letters on their way; 0 where nobody can tell. Asked without a ledger, the program would make one."""
    store = os.environ.get("THANKSD_STORE") or str(paths.store_file())
    if not PROGRAM.exists() or not (paths.is_server(store) or Path(store).exists()):
        return 0
    done = subprocess.run([PROGRAM, "outbox", "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return 0
    return sum(letter["state"] in {"queued", "sending", "deferred"} for letter in json.loads(done.stdout)["letters"])


def _remove_unit() -> None:
    """Remove the units, unless they start a thanksd that somebody installed otherwise."""
    found = service.status(os.environ)
    start = found["exec_start"]
    ours = isinstance(start, str) and PROGRAM.exists() and Path(start).resolve() == PROGRAM.resolve()
    if found["installed"] and found["program_exists"] and not ours:
        _say(f"Left alone, as it starts another thanksd: {found['unit']}")
        return
    service.uninstall(os.environ)


def _say_what_stays() -> None:
    config = paths.config_file()
    if paths.is_server(os.environ.get("THANKSD_STORE", "")):
        _say("The shared ledger stays where it is, with your part in it.")
    kept = {"ledger": paths.store_file(), "settings": config, "templates": paths.user_templates(config)}
    for word, path in kept.items():
        if path.exists():
            _say(f"Kept, your {word}: {path}")


def main() -> None:
    """Run the step that is named."""
    steps = {"install": install, "uninstall": uninstall}
    try:
        steps[sys.argv[1]](*sys.argv[2:])
    except ThanksdError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
