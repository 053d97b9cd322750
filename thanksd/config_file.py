"""The config file as its owner sees it: one setting read or changed, everything else in it left as it is.

A change keeps comments and order (tomlkit), is checked as a whole before it counts, and takes the old file's place at
once (rename(2)) with mode 0600.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from thanksd import config, paths, policy, timing
from thanksd.addresses import check_address, is_unsafe
from thanksd.errors import ConfigError, PermissionDeniedError, ThanksdError, TryLaterError, UsageError

Value = str | int | bool | tuple[str, ...]

_NOTHING = "Nothing was changed."
_SHOWN = 60
_LONGEST = 2000
_EPOCH = datetime(2025, 3, 11, 15, tzinfo=UTC)


def settings(loaded: config.Config) -> dict[str, Value]:
    """Give every setting's dotted name and value; of `[kind.NAME]` those that were set."""
    found = {row.name: value_of(loaded, row.name) for row in config.table() if ".NAME." not in row.name}
    for kind, times in loaded.kind.items():
        found |= {f"kind.{kind}.{key}": value for key, value in vars(times).items() if value}
    return found


def value_of(loaded: config.Config, name: str) -> Value:
    """Give one setting's value.

    Raises UsageError for a name that no setting has, with the nearest right one.
    """
    row(name)
    place: Any = loaded
    for part in name.split("."):
        place = place.get(part, config.KindRule()) if isinstance(place, dict) else getattr(place, part)
    return cast("Value", place)


def row(name: str) -> config.Setting:
    """Give a setting's row of the table; `kind.coffee.nudge` is found as `kind.NAME.nudge`.

    Raises UsageError for a name that no setting has, with the nearest right one.
    """
    parts = name.split(".")
    is_kind = parts[0] == "kind" and len(parts) == len(("kind", "NAME", "nudge"))
    if is_kind and parts[1] != policy.known_kind(parts[1]):
        raise _unknown(name)
    general = f"kind.NAME.{parts[2]}" if is_kind else name
    found = next((one for one in config.table() if one.name == general and ("NAME" not in name)), None)
    if found is None:
        raise _unknown(name)
    return found


def names() -> list[str]:
    """Give the name of every setting that can be set, `kind.coffee.nudge` and its like included."""
    found = []
    for one in config.table():
        kinds = policy.kinds() if ".NAME." in one.name else ("",)
        found += [one.name.replace("NAME", kind) for kind in kinds]
    return found


def _unknown(name: str) -> UsageError:
    close = difflib.get_close_matches(name[:_SHOWN], names(), n=1, cutoff=0.5)
    ends = [one for one in names() if one.endswith(f".{name}")]
    nearest = ends[0] if len(ends) == 1 else close[0] if close else ""
    hint = f"Did you mean {nearest}?" if nearest else "See them all: thanksd config"
    return UsageError(f"There is no setting {name[:_SHOWN]!r}.", hint)


def as_words(value: Value) -> str:
    """Give a value as `set_value` reads it: true or false, a number, a list with commas, bare text."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def set_value(path: Path, name: str, words: str) -> Value:
    """Set one setting in the file, which is made where it is missing, and give the value as it was understood.

    Raises as `set_values` does.
    """
    return set_values(path, {name: words})[name]


def set_values(path: Path, given: Mapping[str, str]) -> dict[str, Value]:
    """Set several settings in one write, all of them or none, and give the values as they were understood.

    Raises UsageError for what can't be that setting's value, ConfigError where the file has a mistake already,
    PermissionDeniedError or TryLaterError where it can't be written. The file is then as it was.
    """
    values = {name: understood(name, words) for name, words in given.items()}
    # A link that leads to a folder kept under version control stays a link.
    target = Path(os.path.realpath(path))
    paths.private_folder(target.parent)
    with _alone(target.parent):
        text = _text(target)
        for name, value in values.items():
            text = _changed(text, str(path), name, value)
        made = config.parse(text, str(path))
        for name, value in values.items():
            if value_of(made, name) != value:
                raise ConfigError(f"{name} is set in a way that only you can change. {_NOTHING}", f"Edit it: {path}")
        _write(target, text)
    return values


def understood(name: str, words: str) -> Value:
    """Give the value that `words` mean for a setting, without setting it.

    Raises UsageError for a name that no setting has, and for what can't be its value.
    """
    return _understood(row(name), name, words)


def _understood(setting: config.Setting, name: str, words: str) -> Value:
    value = _typed(setting, name, words)
    for part in value if isinstance(value, tuple) else (value,):
        if setting.choices and part not in setting.choices:
            known = ", ".join(str(choice) or '""' for choice in setting.choices)
            raise _refused(name, words, f"It is one of: {known}")
    check = _CHECKS.get(name) or _CHECKS.get(setting.name)
    if check is not None and value not in ("", ()):
        try:
            check(name, str(value))
        except ThanksdError as error:
            raise _refused(name, words, error.hint) from error
    return value


def _typed(setting: config.Setting, name: str, words: str) -> Value:
    default = setting.default
    if isinstance(default, bool):
        if words.lower() not in ("true", "false"):
            raise _refused(name, words, "It is true or false.")
        return words.lower() == "true"
    if isinstance(default, int):
        if not (words.isascii() and words.isdigit()) or int(words) > _HIGHEST_PORT:
            raise _refused(name, words, "It is a whole number, 0 to 65535.")
        return int(words)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in words.split(",") if part.strip())
    return _clean(name, words)


_HIGHEST_PORT = 65535


def _clean(name: str, words: str) -> str:
    lines = "\n" if name == "me.signature" else ""
    if len(words) > _LONGEST or any(is_unsafe(char) and char not in lines for char in words):
        raise _refused(name, words, f"It is text of at most {_LONGEST} characters, without control characters.")
    return words


def _refused(name: str, words: str, hint: str) -> UsageError:
    return UsageError(f"{name} can't be {words[:_SHOWN]!r}. {_NOTHING}", hint)


def _check_times(name: str, words: str) -> None:
    _, kind, key = name.split(".")
    own = policy.rule(kind, own={key: words})
    timing.schedule(own, _EPOCH, "UTC")
    timing.late_from(own, _EPOCH, _EPOCH)
    timing.within(own)


def _check_greeting(name: str, words: str) -> None:
    if not any(part in words for part in ("{first}", "{last}", "{full}")):
        raise _refused(name, words, "It has {first}, {last} or {full} where the name goes: Dear {first},")


# What a setting must mean, besides being of its type: read by those who will read it later.
_CHECKS: dict[str, Callable[[str, str], object]] = {
    "me.email": lambda _, words: check_address(words),
    "me.language": lambda _, words: policy.known_language(words),
    "me.timezone": lambda _, words: policy.known_zone(words),
    "nudge.quiet_hours": lambda _, words: timing.parse_quiet(words),
    "nudge.ask": lambda _, words: timing.parse_ask(words),
    "send.undo": lambda _, words: timing.undo_hold(words),
    **dict.fromkeys(("kind.NAME.nudge", "kind.NAME.best_by", "kind.NAME.belated", "kind.NAME.within"), _check_times),
    "kind.NAME.greeting": _check_greeting,
}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The config can't be read: {path}: {error}.", f"Look at it: {path}") from error


def _changed(text: str, source: str, name: str, value: Value) -> str:
    import tomlkit  # noqa: PLC0415  three times click's cost, for the one command that writes
    from tomlkit.items import InlineTable  # noqa: PLC0415  as above

    # Says what is wrong with the file in words and with its line; tomlkit's own are for programmers.
    config.parse(text, source)
    document = tomlkit.parse(text)
    *tables, key = name.split(".")
    place: MutableMapping[str, Any] = document
    for table in tables:
        if table not in place:
            # Only the last one gets a heading: [transport.smtp], not an empty [transport] above it.
            inner = tomlkit.table(is_super_table=table != tables[-1])
            place[table] = tomlkit.inline_table() if isinstance(place, InlineTable) else inner
        place = place[table]
    place[key] = list(value) if isinstance(value, tuple) else value
    return tomlkit.dumps(document)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep two changes at once from losing one of them; flock(2) on the folder leaves no file behind."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise PermissionDeniedError(
            f"The folder can't be read: {folder}: {error.strerror}. {_NOTHING}", "Check who owns it."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_whole(fresh, text)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        kind = PermissionDeniedError if isinstance(error, PermissionError) else TryLaterError
        raise kind(f"The config can't be written: {path}: {error.strerror}. {_NOTHING}", "Check its folder.") from error


def _write_whole(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
