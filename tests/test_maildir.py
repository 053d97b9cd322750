from __future__ import annotations

import mailbox
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from smtp_rigs import deliver

from thanksd import transports
from thanksd.config import Maildir, Transport
from thanksd.errors import ConfigError
from thanksd.states import ACCEPTED, NOT_NOW, UNKNOWN
from thanksd.transports import Envelope, Outcome

RAW = b"From: a@example.org\r\nSubject: Thank you\r\n\r\nDear Bob,\r\n.\r\nbare\nend\r\n"
LETTER = Envelope("a@example.org", "b@example.net", RAW, "<1.x@example.org>")


def save(path: Path | str, answer: bool = True) -> Outcome:
    transport = Transport(kind="maildir", maildir=Maildir(str(path)))
    return deliver(transport, "", None, LETTER, lambda: answer)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def no_more_than(size: int) -> Iterator[None]:
    """Let no file of this process grow past `size` bytes, as a full disk or a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_letter_is_saved_byte_for_byte_and_its_path_is_the_answer(tmp_path: Path) -> None:
    folder = tmp_path / "far" / "away"
    outcome = save(folder)
    assert (outcome.kind, outcome.reason) == (ACCEPTED, "")
    assert files(folder) == [Path(outcome.reply)]
    assert Path(outcome.reply).parent == folder / "new"
    assert Path(outcome.reply).read_bytes() == RAW


def test_a_mail_program_reads_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "box")
    (message,) = mailbox.Maildir(tmp_path / "box", create=False)
    assert message["Subject"] == "Thank you"


def test_folders_and_letters_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    letter = Path(save(folder).reply)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir(), letter)}
    assert modes == {
        folder: 0o700,
        folder / "tmp": 0o700,
        folder / "new": 0o700,
        folder / "cur": 0o700,
        letter: 0o600,
    }


def test_the_letter_is_whole_but_unpublished_at_the_border(tmp_path: Path) -> None:
    found: list[tuple[str, bytes]] = []

    def border() -> bool:
        found.extend((path.parent.name, path.read_bytes()) for path in files(tmp_path))
        return True

    transport = Transport(kind="maildir", maildir=Maildir(str(tmp_path / "box")))
    assert deliver(transport, "", None, LETTER, border).kind == ACCEPTED
    assert found == [("tmp", RAW)]


def test_two_letters_are_two_files(tmp_path: Path) -> None:
    assert save(tmp_path / "box").reply != save(tmp_path / "box").reply
    assert len(files(tmp_path)) == 2


def test_a_lost_lease_leaves_nothing(tmp_path: Path) -> None:
    outcome = save(tmp_path / "box", answer=False)
    assert (outcome.kind, outcome.reason, files(tmp_path)) == (NOT_NOW, "lost lease", [])


def test_an_error_of_the_border_comes_out_and_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> bool:
        raise OSError("disk full")

    transport = Transport(kind="maildir", maildir=Maildir(str(tmp_path / "box")))
    with pytest.raises(OSError, match="disk full"):
        deliver(transport, "", None, LETTER, broken)
    assert files(tmp_path) == []


def test_a_full_disk_is_before_the_border_and_leaves_nothing(tmp_path: Path) -> None:
    with no_more_than(10):
        outcome = save(tmp_path / "box")
    assert (outcome.kind, outcome.reason, files(tmp_path)) == (NOT_NOW, "folder", [])


def test_a_folder_that_is_a_file_is_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert save(tmp_path / "file").kind == NOT_NOW
    assert save(tmp_path / "file" / "below").kind == NOT_NOW
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_after_the_border_is_unknown(tmp_path: Path) -> None:
    def border() -> bool:
        (tmp_path / "box" / "new").rmdir()
        return True

    transport = Transport(kind="maildir", maildir=Maildir(str(tmp_path / "box")))
    outcome = deliver(transport, "", None, LETTER, border)
    assert (outcome.kind, outcome.reason) == (UNKNOWN, "folder")


@pytest.mark.parametrize("path", ["", "Mail/thanks", "~nobody-of-that-name/x"])
def test_a_path_that_is_not_full_is_a_mistake_of_the_config(path: str) -> None:
    with pytest.raises(ConfigError, match=r"transport\.maildir\.path"):
        save(path)


def test_a_path_may_begin_at_home(home: Path) -> None:
    assert Path(save("~/Mail").reply).parent == home / "Mail" / "new"


def test_the_folder_is_what_describes_it(tmp_path: Path) -> None:
    assert transports.describe(Transport(kind="maildir", maildir=Maildir(str(tmp_path)))) == str(tmp_path)
