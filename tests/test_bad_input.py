"""Bad input: each time a clear message, an exit code, and a ledger that is byte for byte what it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import parts
import pytest
from cli_rigs import SCRIPT, Done, change, config_file, configure, new_ledger, rows, store_file, thanksd

from thanksd.errors import ThanksdError, UsageError
from thanksd.world import World

HOSTILE = {
    "line feed": "Ada\nBcc: eve@example.com",
    "carriage return": "Ada\rX",
    "NUL": "Ada\0X",
    "escape": "Ada\x1b[2JX",
    "C1 control": "Ada\x9b2JX",
    "DEL": "Ada\x7fX",
    "lone surrogate": "Ada\udcffX",
    "right-to-left override": "Ada\u202eX",
    "isolate": "Ada\u2066X",
    "line separator": "Ada\u2028X",
}
# What each says besides; all in one so that none can be forgotten.
TEXTS = ("place", "about", "email", "kind", "when", "after", "lang", "tz", "seniority", "template", "via")
LISTS = ("details", "promises", "others")
# Root may write everywhere, unless it gives that up: then a file's mode counts as it does for everybody.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
UNREAL_USER = "54321"


@pytest.fixture
def ledger() -> Path:
    return new_ledger()


@pytest.fixture
def ada(ledger: Path) -> Path:
    """A ledger with one thanks, number 1."""
    assert thanksd("add", "Ada", "Lovelace", "ada@example.com", "-k", "coffee", "-d", "why you left Rust").code == 0
    return ledger


def folder_of(path: Path) -> dict[str, bytes]:
    """Give all that is beside a ledger, but for the lock, which holds nothing of anybody's."""
    files = [one for one in path.parent.iterdir() if one.is_file() and not one.name.endswith(".lock")]
    return {one.name: one.read_bytes() for one in files}


def refused(done: Done, code: int, *words: str) -> None:
    """Check that a command said what is wrong, in two lines on stderr, and nothing else."""
    assert (done.code, done.out) == (code, ""), done
    lines = done.err.splitlines()
    assert len(lines) == 2, done
    assert all(0 < len(line) <= 250 for line in lines), done
    assert "Traceback" not in done.err
    assert [word for word in words if word not in done.err] == [], done


def as_root(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run a shell script as root in mounts of its own, or skip."""
    parts.need("unshare", "mount")
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    command = ["unshare", "--mount", "bash", "-euc", script, "bash", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env)
    if "Operation not permitted" in done.stderr or "unshare failed" in done.stderr:
        pytest.skip(f"no mounts of its own here: {done.stderr.strip()[:80]}")
    return Done(done.returncode, done.stdout, done.stderr)


# --- words ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Ada", "ada@example.com", "grace@example.com"), "Two addresses: ada@example.com grace@example.com."),
        (("Ada <ada@example.com>, Grace <grace@example.com>",), "not one person with one address"),
        (("Ada <ada@example.com> <grace@example.com>",), "not one person with one address"),
        (("Lovelace, Ada",), "not one person with one address"),
        (("Ada <ada@example.com", "-k", "coffee"), "not one person with one address"),
        (("Ada", "ada@example.com", "--email", "grace@example.com"), "another"),
        (("Ada", "ada@example.com\nBcc: eve@example.com"), "U+000A"),
        (("Ada\nLovelace",), "U+000A"),
        (("Ada", "ada@@example.com"), "exactly one address"),
        (("Ada", "ada@localhost@x.org"), "exactly one address"),
        (("Ada", "ada@ex ample.com"), "no dot"),
        (("Ada", "--email", "ada"), "there is no @"),
        (("Ada", "--with", "a@example.com b@example.com"), "Two addresses"),
        (("ada@example.com",), "Whose address is ada@example.com?"),
        ((), "Nobody was named"),
        (("",), "Nobody was named"),
        (("   ",), "Nobody was named"),
        (("x" * 10_000,), "10000 characters, at most 400"),
        (("x" * 300,), "300 characters, at most 200"),
        (("Ada", "--place", "x" * 201), "201 characters, at most 200"),
        (("Ada", "-d", "x" * 100_000), "at most 2000"),
        (("Ada", "--tz", "Europe/Berln"), "Did you mean Europe/Berlin?"),
        (("Ada", "--tz", "../../etc/passwd"), "There is no time zone '../../etc/passwd'."),
        (("Ada", "-k", "cofee"), "Did you mean coffee?"),
        (("Ada", "--lang", "ne"), "Did you mean es?"),
        (("Ada", "--seniority", "abov"), "Did you mean above?"),
        (("Ada", "--template", "cofee"), "Did you mean coffee?"),
        (("Ada", "--template", "../../../etc/passwd"), "There is no template"),
        (("Ada", "-w", "25:61"), "No clock shows 25:61."),
        (("Ada", "-w", "30 february"), "There is no 30 February."),
        (("Ada", "-w", "2026-02-30 15:00"), "There is no 30 February 2026."),
        (("Ada", "-w", "1900-03-11 15:00"), "1900 is too long ago"),
        (("Ada", "-w", "9999-03-11 15:00"), "9999 is too far ahead"),
        (("Ada", "-w", "2h"), "Say 2h ago"),
        (("Ada", "-w", "soon"), "'soon' can't be read as a time."),
        (("Ada", "--after", "-2h"), "'-2h' goes backwards."),
        (("Ada", "--after", "2h ago"), "is past"),
        (("Ada", "--after", "2"), "'2' has no unit."),
        (("Ada", "-w", "2026-03-29 02:30"), "Say 2026-03-29 01:30 or 2026-03-29 03:30."),
        (("Ada", "-w", "2025-10-26 02:30"), "Say 2025-10-26T02:30+02:00 or 2025-10-26T02:30+01:00."),
        (("Ada", "-w", "3/4/2025"), "Say 2025-03-04 or 2025-04-03."),
    ],
)
def test_what_can_not_be_understood_is_refused_and_nothing_is_stored(
    ledger: Path, words: tuple[str, ...], said: str
) -> None:
    before = folder_of(ledger)
    refused(thanksd("add", *words), 2, said)
    assert folder_of(ledger) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_characters_that_hide_or_steer_are_refused_wherever_they_come_in(ada: Path, name: str) -> None:
    text, before = HOSTILE[name], folder_of(ada)
    world = World(f"sqlite:///{ada}", str(config_file()))
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("add", {"who": text}),
        *(("add", {"who": "Grace", key: text}) for key in TEXTS),
        *(("add", {"who": "Grace", key: [text]}) for key in LISTS),
        *(("edit", {"ref": "1", key: text}) for key in ("name", *TEXTS)),
        *(("edit", {"ref": "1", key: [text]}) for key in LISTS),
        ("snooze", {"ref": "1", "delay": text}),
        ("waive", {"ref": "1", "reason": text}),
        ("done", {"ref": "1", "how": text}),
        ("edit_person", {"who": "1", "name": text}),
        ("edit_person", {"who": "1", "email": text}),
        ("draft", {"ref": "1", "subject": text}),
    ]
    for verb, params in attempts:
        with pytest.raises(UsageError) as caught:
            world.call(verb, params)
        assert (verb, params, bool(caught.value.hint)) == (verb, params, True)
    assert folder_of(ada) == before


@pytest.mark.parametrize("name", ["carriage return", "NUL", "escape", "C1 control", "DEL", "lone surrogate"])
def test_a_body_with_characters_that_can_not_be_mailed_is_refused(ada: Path, name: str) -> None:
    before = folder_of(ada)
    world = World(f"sqlite:///{ada}", str(config_file()))
    with pytest.raises(ThanksdError):
        world.call("draft", {"ref": "1", "body": f"Dear Ada,\n\n{HOSTILE[name]}\n"})
    assert folder_of(ada) == before


@pytest.mark.parametrize("data", [b"Dear Ada,\0\n", b"Dear Ada,\xff\n", b"Dear Ada,\n" * 200_000])
def test_a_body_from_stdin_that_is_no_letter_is_refused(ada: Path, data: bytes) -> None:
    before = folder_of(ada)
    done = thanksd("draft", "1", "--body-file", "-", stdin=data)
    assert done.code in (2, 65)
    refused(done, done.code)
    assert folder_of(ada) == before


@pytest.mark.parametrize("word", [b"Ada \xff\xfe", b"Ada \xed\xa0\x80", b"Ada\x1b[31m", "Ada\u202e".encode()])
def test_bytes_of_the_command_line_that_are_no_text_are_refused(ledger: Path, word: bytes) -> None:
    before = folder_of(ledger)
    refused(thanksd("add", word), 2, "a character that can't be kept")
    refused(thanksd("add", "Ada", "-d", word), 2, "a character that can't be kept")
    refused(thanksd("show", word), 1)
    assert folder_of(ledger) == before


@pytest.mark.parametrize(
    "words",
    [
        ("show", "2"),
        ("edit", "2", "--place", "here"),
        ("draft", "2"),
        ("send", "2", "--yes"),
        ("snooze", "2"),
        ("waive", "nobody"),
        ("done", "2"),
        ("undo", "2"),
        ("resolve", "2", "--sent"),
        ("log", "2"),
        ("people", "show", "nobody"),
        ("show", "0"),
        ("show", "-1"),
        ("show", "9" * 30),
        ("show", "%"),
        ("show", ""),
        ("show", "' OR 1=1 --"),
    ],
)
def test_a_ref_that_matches_nothing_is_said_and_nothing_changes(ada: Path, words: tuple[str, ...]) -> None:
    before = folder_of(ada)
    done = thanksd(*words)
    # "-1" looks like an option.
    refused(done, 2 if "-1" in words else 1)
    assert folder_of(ada) == before


def test_an_edit_with_one_bad_word_changes_none_of_the_others(ada: Path) -> None:
    before = folder_of(ada)
    refused(thanksd("edit", "1", "--place", "Café Einstein", "--tz", "Mars/Olympus"), 2, "no time zone")
    assert folder_of(ada) == before


def test_one_bad_companion_stores_nobody(ledger: Path) -> None:
    refused(thanksd("add", "Ada", "--with", "Grace", "--with", "<eve@example.com"), 2)
    assert set(rows(ledger).values()) == {0, 1}
    assert rows(ledger)["person"] == 0


# --- the config ---


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[me", "is not TOML"),
        (b"name: Sam\n", "is not TOML"),
        (b"\x00\x01\x02", "is not TOML"),
        (b"\xff\xfe[me]", "can't be read"),
        (b"[me]\nnmae = 'Sam'\n", "line 2: me.nmae is no setting"),
        (b"[transport]\nkind = 1\n", "line 2: transport.kind must be text"),
    ],
)
def test_a_config_with_a_mistake_stops_what_needs_it_and_stays(ada: Path, data: bytes, said: str) -> None:
    configure("")
    config_file().write_bytes(data)
    before = folder_of(ada)
    for words in (("add", "Grace"), ("owed",), ("config",), ("config", "set", "me.name", "Sam")):
        refused(thanksd(*words), 78, said, str(config_file()))
    assert config_file().read_bytes() == data
    assert folder_of(ada) == before
    # What needs no config goes on.
    assert thanksd("config", "path").out == f"{config_file()}\n"
    assert thanksd("help", "config").code == 0


def test_a_config_that_is_a_folder_is_said(ledger: Path) -> None:
    config_file().mkdir(parents=True)
    refused(thanksd("add", "Ada"), 78, "Is a directory")
    refused(thanksd("config", "set", "me.name", "Sam"), 78, "Is a directory")
    assert rows(ledger)["person"] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[me]\ntimezone = "Mars/Olympus"\n', "Mars/Olympus"),
        ('[kind.coffee]\nnudge = "soon"\n', "nudge can't be 'soon'"),
        ('[nudge]\nquiet_hours = "late"\n', "nudge.quiet_hours"),
    ],
)
def test_a_setting_that_means_nothing_is_named_and_nothing_is_stored(ledger: Path, text: str, said: str) -> None:
    configure(text)
    done = thanksd("add", "Ada", "-k", "coffee")
    assert done.code in (2, 78)
    refused(done, done.code, said)
    assert rows(ledger)["person"] == 0


# --- the store ---


def test_a_database_of_somebody_else_is_left_alone(short_dir: Path) -> None:
    path = short_dir / "other" / "other.db"
    path.parent.mkdir()
    change(path, "CREATE TABLE person (name TEXT)")
    before = folder_of(path)
    for words in (("add", "Ada"), ("owed",)):
        refused(thanksd(*words, "--store", str(path)), 65, "This is not a ledger of thanksd")
    assert folder_of(path) == before


def test_a_ledger_of_a_newer_program_is_left_alone(ada: Path) -> None:
    change(ada, "UPDATE alembic_version SET version_num = '9999'")
    before = folder_of(ada)
    for words in (("add", "Grace"), ("owed",)):
        refused(thanksd(*words), 78, "written by a newer thanksd")
    assert folder_of(ada) == before


@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite://", "ftp://x"])
def test_a_store_of_an_unknown_kind_is_refused(url: str) -> None:
    done = thanksd("add", "Ada", "--store", url)
    assert done.code in (77, 78)
    refused(done, done.code)


def as_a_user(*words: str) -> Done:
    """Run a command without root's right to write everywhere."""
    parts.need("setpriv")
    command = [*(AS_A_USER if os.geteuid() == 0 else []), str(SCRIPT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "setpriv:" in done.stderr:
        pytest.skip(f"no rights to give up here: {done.stderr.strip()[:80]}")
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_ledger_of_somebody_else_says_so(ada: Path) -> None:
    ada.chmod(0o000)
    try:
        refused(as_a_user("owed"), 77, "can't be read")
    finally:
        ada.chmod(0o600)


def test_a_folder_where_no_ledger_can_be_made_is_said(home: Path) -> None:
    store_file().parent.parent.mkdir(parents=True)
    store_file().parent.parent.chmod(0o500)
    try:
        refused(as_a_user("add", "Ada"), 77, str(store_file().parent))
    finally:
        store_file().parent.parent.chmod(0o700)
    assert not store_file().exists()
    assert home.exists()


# --- the machine ---


def test_a_full_disk_keeps_the_settings(short_dir: Path) -> None:
    disk = short_dir / "disk"
    disk.mkdir()
    script = """
        mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"
        printf '[me]\\nname = "Sam"\\n' >"$1/config.toml"
        dd if=/dev/zero of="$1/fill" bs=1k 2>/dev/null || true
        code=0; "$2" --config "$1/config.toml" config set me.signature "$(printf 'x%.0s' $(seq 2000))" || code=$?
        rm "$1/fill"; ls -A "$1"; cat "$1/config.toml"
        exit $code
    """
    done = as_root(script, str(disk), str(SCRIPT))
    assert (done.code, done.out) == (75, 'config.toml\n[me]\nname = "Sam"\n')
    assert "No space left on device" in done.err


def with_closed(which: str, *words: str) -> Done:
    """Run a command whose stdin, stdout or stderr is not open at all."""
    command = ["bash", "-c", f'exec "$@" {which}', "bash", str(SCRIPT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


def test_closed_stdin_is_nobody_to_ask(ada: Path) -> None:
    before = folder_of(ada)
    refused(with_closed("<&-", "add"), 2, "Nobody was named")
    refused(with_closed("<&-", "people", "forget", "ada"), 1, "Nobody was forgotten")
    refused(with_closed("<&-", "draft", "1", "--body-file", "-"), 2)
    refused(with_closed("<&-", "resolve", "1"), 2)
    assert folder_of(ada) == before
    assert with_closed("<&-", "owed").code == 0


def test_stdin_at_its_end_is_nobody_to_ask(ada: Path) -> None:
    before = folder_of(ada)
    refused(thanksd("add"), 2, "Nobody was named")
    refused(thanksd("people", "forget", "ada"), 1)
    assert folder_of(ada) == before


@pytest.mark.parametrize("which", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_output_neither_fails_nor_reaches_the_ledger(ada: Path, which: str) -> None:
    done = with_closed(which, "add", "Grace", "Hopper")
    assert (done.code, done.err) == (0, "")
    with sqlite3.connect(f"file:{ada}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert rows(ada)["person"] == 2


def test_output_that_can_not_be_written_is_said_in_words(ada: Path) -> None:
    done = with_closed(">/dev/full", "owed")
    refused(done, 75, "No space left on device")
    assert ada.exists()


def test_output_in_an_old_encoding_shows_what_it_can(ada: Path) -> None:
    change(ada, "UPDATE person SET name = 'Ada \u0141'")
    old = {"PYTHONIOENCODING": "latin-1"}
    assert thanksd("owed", env=old).code == 0
    assert thanksd("show", "1", "--json", env=old).code == 0


# The user of this number has no entry in the user database; the rights are for reading the program where it lies.
NO_HOME = ["setpriv", f"--reuid={UNREAL_USER}", "--clear-groups", "--inh-caps=+dac_override,+dac_read_search"]


def without_home(folder: Path, *words: str, **env: str) -> Done:
    parts.need("setpriv")
    if os.geteuid() != 0:
        pytest.skip("being a user without an entry in the user database needs root")
    # access(2), by which Alembic looks for its folder, asks for the user and not for the rights given below.
    parts.need_open_way(SCRIPT)
    command = [*NO_HOME, "--ambient-caps=+dac_override,+dac_read_search", str(SCRIPT), *words]
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environ, cwd=folder)
    if "setpriv:" in done.stderr:
        pytest.skip(f"another user can't be had here: {done.stderr.strip()[:80]}")
    return Done(done.returncode, done.stdout, done.stderr)


def test_without_a_home_the_hint_says_what_to_set(short_dir: Path) -> None:
    short_dir.chmod(0o777)
    for words in (("owed",), ("add", "Ada"), ("config",), ("config", "set", "me.name", "Sam"), ("config", "path")):
        refused(without_home(short_dir, *words), 78, "There is no home folder.", "Set HOME")
    assert [path.name for path in short_dir.iterdir()] == ["h"]
    assert without_home(short_dir, "--help").code == 0


def test_without_a_home_what_the_hint_names_is_enough(short_dir: Path) -> None:
    short_dir.chmod(0o777)
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    said = without_home(short_dir, "owed").err
    env = {name: str(short_dir / name) for name in names if name in said}
    assert without_home(short_dir, "add", "Ada", **env).code == 0
    assert "Ada" in without_home(short_dir, "owed", **env).out
