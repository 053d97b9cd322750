"""The secrets: the mail account's password or access token, and the push address of a phone, which holds a token too.

Each comes from a command, a systemd credential, or the keyring.

It is read at the moment of connecting and kept nowhere; no message, exception or argument list of ours carries it. The
keyring is spoken to by a child process, `python -m thanksd.credentials get|set|forget USER`: its calls can block
without end behind a prompt window (SecretStorage issue 33), and a child can be ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from thanksd.errors import ConfigError, PermissionDeniedError
from thanksd.sealing import seal

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from thanksd import config

SERVICE = "thanksd"
CREDENTIAL_FILE = "smtp-password"
# The keyring's name of the push address, and the systemd credential's.
PUSH, PUSH_FILE = "push", "push-address"

# Seconds until a child is ended, with all that it started.
COMMAND_SECONDS = 10.0
KEYRING_SECONDS = 10.0

# Characters: Microsoft's tokens take some 4,000, and this many always fit into a pipe at once (pipe(7): 65,536 bytes).
LONGEST_SECRET = 8192
# Bytes: a command that runs wild is stopped here.
LONGEST_OUTPUT = 65536

# Those that encrypt what they keep. Where no desktop is, keyring would otherwise pick up plain-text ones in silence.
_ALLOWED_BACKENDS = ("SecretService", "kwallet", "libsecret", "macOS", "Windows", "chainer")

_COMMAND_HINT = "Set transport.smtp.password_command to a command that prints the password."
_PUSH_HINT = "Set nudge.push_command to a command that prints the address."
_KEYRING_WORDS = {
    "missing": ("The keyring has no password for {user}.", "Store it: thanksd credentials set"),
    "locked": ("The keyring is locked.", "Unlock it by logging in to the desktop; thanksd then tries again."),
    "closed": ("The keyring could not be opened.", "Log in to the desktop anew; thanksd then tries again."),
    "no keyring": ("There is no keyring here.", _COMMAND_HINT),
    "refused": ("The keyring in use is not one known to encrypt: {detail}.", _COMMAND_HINT),
    "timeout": ("The keyring did not answer in {seconds:g} seconds.", "Look for a window that asks to unlock it."),
    "error": ("The keyring failed: {detail}.", _COMMAND_HINT),
}


class CredentialsError(PermissionDeniedError):
    """The secret could not be had, or not stored (exit 77).

    `reason` is a word for programs: missing, locked, closed, no keyring, refused, timeout, error (keyring); command,
    timeout (a command); file (a systemd credential).
    """

    def __init__(self, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


def account(smtp: config.Smtp, me_email: str) -> str:
    """Give the keyring's name of the account, `username@host`."""
    return f"{smtp.username or me_email}@{smtp.host}"


def reader(smtp: config.Smtp, me_email: str, environ: Mapping[str, str]) -> Callable[[], str] | None:
    """Give what fetches the secret when it is called; None where the account has no login.

    The first of: the command set (token_command for xoauth2, else password_command); the systemd credential
    `smtp-password`; the keyring. `environ` is also what the children get. The call takes up to 10 seconds, and raises
    CredentialsError, or ConfigError where the setting itself is wrong.
    """
    if smtp.auth == "none":
        return None
    return partial(_read, smtp, me_email, environ)


def push_reader(command: str, environ: Mapping[str, str]) -> Callable[[], str]:
    """Give what fetches the addresses of the push services, one line with spaces between them, when it is called.

    The first of: `command` (nudge.push_command); the systemd credential `push-address`; the keyring. Raises as that of
    `reader`.
    """
    return partial(_read_push, command, environ)


def store(user: str, secret: str) -> None:
    """Keep a secret in the keyring under `user` (see `account`).

    Raises CredentialsError, with nothing kept.
    """
    _keyring("set", user, os.environ, given=_checked(secret, "What was typed"))


def look_up(user: str) -> str | None:
    """Give what the keyring keeps for `user`, or None: so it is known to be there and unlocked before it is needed.

    Raises CredentialsError where no keyring can be used; after 10 seconds at the latest.
    """
    seal()
    try:
        return _keyring("get", user, os.environ)
    except CredentialsError as error:
        if error.reason == "missing":
            return None
        raise


def keep_for_unit(secret: str, file: Path, unit: Path) -> None:
    """Keep a secret in `file` (0600, not encrypted), and have systemd hand it to the unit (LoadCredential=).

    `unit` is the unit's file; what is written beside it is a drop-in of its own (systemd.unit(5)), and counts from the
    unit's next start. Raises OSError where either can't be written, CredentialsError for what is no secret.
    """
    _write_private(file, _checked(secret, "What was typed") + "\n")
    # systemd.exec(5): % begins a specifier.
    _write_private(_drop_in(unit), f"[Service]\nLoadCredential={CREDENTIAL_FILE}:{str(file).replace('%', '%%')}\n")


def forget_for_unit(file: Path, unit: Path) -> bool:
    """Remove what keep_for_unit wrote, and say whether anything was there. Raises OSError where it can't be removed."""
    there = [path for path in (_drop_in(unit), file) if path.exists()]
    for path in there:
        path.unlink()
    return bool(there)


def _drop_in(unit: Path) -> Path:
    return unit.with_name(f"{unit.name}.d") / f"{CREDENTIAL_FILE}.conf"


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def forget(user: str) -> None:
    """Take the secret of `user` out of the keyring.

    Raises CredentialsError; its reason is `missing` where there was none.
    """
    _keyring("forget", user, os.environ)


def _read(smtp: config.Smtp, me_email: str, environ: Mapping[str, str]) -> str:
    seal()
    setting = "token_command" if smtp.auth == "xoauth2" else "password_command"
    line = smtp.token_command if smtp.auth == "xoauth2" else smtp.password_command
    if line.strip():
        return _from_command(f"transport.smtp.{setting}", line, environ)
    # A token lives for an hour or so: what lies in a file or a keyring has long run out.
    if smtp.auth == "xoauth2":
        raise ConfigError("auth is xoauth2, and no token_command is set.", "Set transport.smtp.token_command.")
    return _from_unit(CREDENTIAL_FILE, environ) or _keyring("get", account(smtp, me_email), environ)


def _read_push(command: str, environ: Mapping[str, str]) -> str:
    seal()
    if command.strip():
        return _from_command("nudge.push_command", command, environ)
    try:
        return _from_unit(PUSH_FILE, environ) or _keyring("get", PUSH, environ)
    except CredentialsError as error:
        if error.reason == "missing":
            message, hint = "The keyring has no push address.", "Store it: thanksd credentials set push"
            raise CredentialsError(message, hint, error.reason) from error
        error.hint = _PUSH_HINT if error.hint == _COMMAND_HINT else error.hint
        raise


def _from_unit(name: str, environ: Mapping[str, str]) -> str:
    """Give the secret that systemd hands to the daemon's unit; "" where it hands none."""
    path = Path(environ.get("CREDENTIALS_DIRECTORY", "")) / name
    return _from_file(path) if path.is_absolute() and path.exists() else ""


def _from_command(setting: str, line: str, environ: Mapping[str, str]) -> str:
    hint = f"Run it by hand and look; no shell reads it, so write {setting} = \"sh -c '...'\" for pipes."
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"{setting} can't be read: {error}.", "Close its quotes.") from error
    done, problem = _try_run(words, environ)
    if done is None:
        raise CredentialsError(f"{setting} can't be started: {problem}.", hint, "command")
    if done.is_late:
        raise CredentialsError(f"{setting} did not end in {COMMAND_SECONDS:g} seconds.", hint, "timeout")
    if done.code != 0:
        raise CredentialsError(f"{setting} failed with status {done.code}.", hint, "command")
    return _checked(_decoded(done.output), setting, hint, "command")


def _try_run(words: list[str], environ: Mapping[str, str]) -> tuple[_Done | None, str]:
    """Run the command, or say why it can't be; the error itself names the first word, which may be a password."""
    try:
        return _run(words, environ, COMMAND_SECONDS), ""
    except (OSError, ValueError) as error:
        return None, getattr(error, "strerror", None) or "it has a character that no command can have"


def _from_file(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"The credential {path.name} can't be read: {error.strerror}."
        raise CredentialsError(message, "Look at the unit's LoadCredential=.", "file") from error
    return _checked(_decoded(data), f"The credential {path.name}", "Store it as one line.", "file")


def _decoded(data: bytes) -> str:
    # A strict decoder's error would carry the bytes; the escapes are not printable, and `_checked` refuses them.
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _checked(secret: str, source: str, hint: str = "Give it on one line.", reason: str = "refused") -> str:
    """Let a secret pass that is one line of printable text; what is wrong is said without quoting it."""
    if not secret:
        raise CredentialsError(f"{source} gave nothing.", hint, reason)
    if "\n" in secret:
        lines = secret.count("\n") + 1
        raise CredentialsError(f"{source} gave {lines} lines; one is expected.", hint, reason)
    if len(secret) > LONGEST_SECRET:
        raise CredentialsError(f"{source} gave more than any password: {len(secret)} characters.", hint, reason)
    if not secret.isprintable():
        raise CredentialsError(f"{source} gave characters that no password has.", hint, reason)
    return secret


class _Done(NamedTuple):
    """How a child ended; `code` is its exit status, or minus a signal's number."""

    code: int
    output: bytes
    is_late: bool


def _run(words: list[str], environ: Mapping[str, str], seconds: float, given: bytes = b"") -> _Done:
    """Run a child without a shell, in a process group of its own that is ended with it.

    Raises OSError or ValueError where it can't be started.
    """
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    ) as child:
        deadline = time.monotonic() + seconds
        try:
            output, is_late = _talk(child, given, deadline)
            if not is_late and len(output) <= LONGEST_OUTPUT:
                child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            # Also after a good end: a helper that it left behind would keep a prompt window open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        return _Done(child.wait(), output, is_late)


def _talk(child: subprocess.Popen[bytes], given: bytes, deadline: float) -> tuple[bytes, bool]:
    """Hand `given` over and collect the output, and whether the deadline (monotonic seconds) passed before its end."""
    source, sink = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    # A child that ended without listening tells why by its exit status.
    with contextlib.suppress(BrokenPipeError):
        source.write(given)
        source.close()
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(sink, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(sink.fileno(), LONGEST_OUTPUT)
            output += chunk
            if not chunk or len(output) > LONGEST_OUTPUT:
                return output, False
    return output, True


def _keyring(action: str, user: str, environ: Mapping[str, str], given: str = "") -> str:
    """Let a child do `get`, `set` or `forget`, and give the secret of a `get`, else nothing."""
    # -P: nothing that lies in the current folder may pose as one of our modules.
    words = [sys.executable, "-P", "-m", "thanksd.credentials", action, user]
    try:
        done = _run(words, _with_bus(environ), KEYRING_SECONDS, given.encode())
    except (OSError, ValueError) as error:
        raise _keyring_error("error", user, type(error).__name__) from error
    if done.is_late:
        raise _keyring_error("timeout", user)
    answer = _answer(done)
    if "reason" in answer:
        raise _keyring_error(answer["reason"], user, answer["detail"])
    return (
        _checked(answer["secret"], "The keyring", "Store it anew: thanksd credentials set") if action == "get" else ""
    )


def _with_bus(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Add the session bus's usual address where cron, su or ssh left it out (sd_bus_open_user(3))."""
    bus = Path(environ.get("XDG_RUNTIME_DIR", "")) / "bus"
    if "DBUS_SESSION_BUS_ADDRESS" in environ or not bus.is_absolute() or not bus.exists():
        return environ
    return {**environ, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}


def _answer(done: _Done) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(done.output)
    except ValueError:
        found = {}
    # What can't be read is not quoted: it may hold the secret.
    return found or {"reason": "error", "detail": f"its helper ended with status {done.code}"}


def _keyring_error(reason: str, user: str, detail: str = "") -> CredentialsError:
    message, hint = _KEYRING_WORDS[reason]
    return CredentialsError(message.format(user=user, detail=detail, seconds=KEYRING_SECONDS), hint, reason)


def _allowed(backend: object) -> bool:
    kind = backend if isinstance(backend, type) else type(backend)
    package, _, name = kind.__module__.rpartition(".")
    return package == "keyring.backends" and name in _ALLOWED_BACKENDS


def _child(action: str, user: str, given: str) -> dict[str, str]:
    """Do one thing with the keyring, in the child: {"secret": ...} or {"reason": ..., "detail": ...}."""
    import keyring.backends.chainer  # noqa: PLC0415  as below
    import keyring.backends.fail  # noqa: PLC0415  keyring and its backends cost the child alone
    import keyring.errors  # noqa: PLC0415  as above

    # Also the chainer asks this limit which others it may ask.
    keyring.core.init_backend(limit=_allowed)
    backend = keyring.get_keyring()
    # A chainer without links answers "missing" to all and keeps nothing, without a word.
    is_empty = isinstance(backend, keyring.backends.chainer.ChainerBackend) and not backend.backends
    if is_empty or isinstance(backend, keyring.backends.fail.Keyring):
        return {"reason": "no keyring", "detail": ""}
    if not _allowed(backend):
        return {"reason": "refused", "detail": type(backend).__module__}
    try:
        return _act(backend, action, user, given)
    except keyring.errors.KeyringLocked:
        return {"reason": "locked", "detail": ""}
    except keyring.errors.InitError:
        # Started without a login, it knows no collection by default and would ask for a new one's password.
        return {"reason": "closed", "detail": ""}
    except keyring.errors.PasswordDeleteError:
        return {"reason": "missing", "detail": ""}


def _act(backend: KeyringBackend, action: str, user: str, given: str) -> dict[str, str]:
    if action == "set":
        backend.set_password(SERVICE, user, given)
        return {"secret": ""}
    if action == "forget":
        backend.delete_password(SERVICE, user)
        return {"secret": ""}
    secret = backend.get_password(SERVICE, user)
    return {"reason": "missing", "detail": ""} if secret is None else {"secret": secret}


def _main() -> None:
    seal()
    action, user = sys.argv[1:]
    try:
        answer = _child(action, user, sys.stdin.buffer.read().decode())
    except Exception as error:  # noqa: BLE001  a backend's error may be of any kind; its text may hold the secret
        answer = {"reason": "error", "detail": type(error).__name__}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
