"""What can go wrong, said to people: each error has a sentence, a hint and an exit code (sysexits.h)."""

from __future__ import annotations


class ThanksdError(Exception):
    """Something a person must know: `message` says what happened, `hint` the one thing to do next.

    `code` is a word for programs, where a door acts on this very error (such as asking "another one?").
    """

    exit_code = 70

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class NotFoundError(ThanksdError):
    """The REF given matches nothing, or the person did not confirm (exit 1)."""

    exit_code = 1


class UsageError(ThanksdError):
    """The command's words could not be understood, or say two things (exit 2)."""

    exit_code = 2


class DataError(ThanksdError):
    """The data is bad: a blocked draft, a refused letter, a damaged store (exit 65, EX_DATAERR)."""

    exit_code = 65


class UnavailableError(ThanksdError):
    """A service that is needed is not there (exit 69, EX_UNAVAILABLE)."""

    exit_code = 69


class TryLaterError(ThanksdError):
    """It did not work now and may work later: busy, full, no answer (exit 75, EX_TEMPFAIL)."""

    exit_code = 75


class PermissionDeniedError(ThanksdError):
    """A file may not be read or written, or a login was refused (exit 77, EX_NOPERM)."""

    exit_code = 77


class ConfigError(ThanksdError):
    """The configuration is missing something or has something wrong (exit 78, EX_CONFIG)."""

    exit_code = 78


_BY_CODE: dict[int, type[ThanksdError]] = {
    error.exit_code: error
    for error in (
        NotFoundError,
        UsageError,
        DataError,
        UnavailableError,
        TryLaterError,
        PermissionDeniedError,
        ConfigError,
    )
}


def to_plain(error: ThanksdError) -> dict[str, str | int]:
    """Give the error as JSON-able values, for the daemon's socket."""
    return {"exit_code": error.exit_code, "message": error.message, "hint": error.hint, "code": error.code}


def from_plain(data: dict[str, str | int]) -> ThanksdError:
    """Rebuild the error that `to_plain` gave on the other side of the socket."""
    kind = _BY_CODE.get(int(data["exit_code"]), ThanksdError)
    return kind(str(data["message"]), str(data["hint"]), code=str(data["code"]))
