"""The settings: one table in code (name, type, default, meaning) that makes the checks, the help and the docs.

Each dataclass below is a TOML table, each field a setting; its metadata carries the meaning. A field's type is its
TOML type. Read at the doors only, and handed down frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from thanksd.errors import ConfigError
from thanksd.policy import OFFERS, kinds


def _setting(default: Any, meaning: str, choices: tuple[str | int, ...] = ()) -> Any:  # noqa: ANN401  as dataclasses.field
    return field(default=default, metadata={"meaning": meaning, "choices": choices})


@dataclass(frozen=True)
class Me:
    """Who writes the letters."""

    name: str = _setting("", "your name, as under a letter")
    email: str = _setting("", "the address letters come from")
    language: str = _setting("en", "language of drafts, unless the person has one")
    timezone: str = _setting("", "your time zone, such as Europe/Berlin; empty is the system's")
    signature: str = _setting("", "what stands under a letter; empty is your name")


@dataclass(frozen=True)
class Maildir:
    """Letters saved into a folder; nobody is mailed."""

    path: str = _setting("", "the Maildir folder letters are saved in")


@dataclass(frozen=True)
class Smtp:
    """Letters sent through your mail account."""

    host: str = _setting("", "the submission server, such as smtp.fastmail.com")
    port: int = _setting(0, "its port; 0 is 465 for tls, 587 for starttls, 25 for none")
    security: str = _setting("tls", "tls, starttls, or none (loopback only)", ("tls", "starttls", "none"))
    auth: str = _setting("password", "how to log in", ("password", "xoauth2", "none"))
    username: str = _setting("", "the login name; empty is me.email")
    password_command: str = _setting("", "a command that prints the password, such as 'pass mail'")
    token_command: str = _setting("", "a command that prints an OAuth 2 access token, for xoauth2")
    connections: int = _setting(
        1, "how many connections carry letters at once; most providers punish more", tuple(range(1, 11))
    )


@dataclass(frozen=True)
class Mailto:
    """Letters handed to your own mail program, to be sent there."""

    open: str = _setting(
        "system", "where a letter opens: your mail program, or a web page", ("system", "gmail", "outlook")
    )


@dataclass(frozen=True)
class Transport:
    """How letters leave."""

    kind: str = _setting(
        "", "smtp, maildir, mailto or eml; empty: nothing can be sent yet", ("", "smtp", "maildir", "mailto", "eml")
    )
    maildir: Maildir = field(default_factory=Maildir)
    smtp: Smtp = field(default_factory=Smtp)
    mailto: Mailto = field(default_factory=Mailto)


@dataclass(frozen=True)
class Nudge:
    """How you are reminded."""

    channels: tuple[str, ...] = _setting(
        ("desktop", "terminal"), "where nudges go, in this order", ("desktop", "push", "mail", "terminal")
    )
    quiet_hours: str = _setting("21:00-08:30", "no popups between these; empty is off")
    weekdays_only: bool = _setting(default=False, meaning="no popups on Saturday and Sunday")
    review: str = _setting(
        "auto",
        "what Review opens: page, terminal, or auto, the page where there is a browser",
        ("auto", "page", "terminal"),
    )
    terminal: str = _setting("auto", "the terminal program that Review opens; auto finds one")
    phone: str = _setting(
        "names", "what a phone's screen may show: names, or also details of the meeting", ("names", "details")
    )
    push_command: str = _setting(
        "", "a command that prints the push service's address, such as 'pass push'; empty is the keyring"
    )
    ask: str = _setting("", "when to ask whom you met, such as 'fri 16:00'; empty is never")


@dataclass(frozen=True)
class Page:
    """The review page: a small website on this machine, for your own browser alone."""

    enabled: bool = _setting(default=True, meaning="whether the daemon offers the page")
    port: int = _setting(0, "its port on 127.0.0.1; 0 takes any that is free, the one of before if it can")
    browser: str = _setting("auto", "the browser that the page opens in; auto asks the desktop for yours")


@dataclass(frozen=True)
class Send:
    """How letters are let go."""

    undo: str = _setting("30s", "how long a confirmed letter can be taken back, 0s to 10m; 0s leaves at once")
    copy: str = _setting(
        "auto",
        "the copy to yourself: self, none, or auto, where your provider keeps none in Sent",
        ("auto", "self", "none"),
    )
    also_for: tuple[str, ...] = _setting(
        (), "in a shared ledger: the colleagues (addresses) whose letters leave from here too; * for everybody's"
    )


@dataclass(frozen=True)
class Copies:
    """The copies of the ledger that are kept by themselves, once a day where something changed."""

    days: int = _setting(7, "of how many days the daily copy of the ledger is kept; all three 0 keeps none")
    weeks: int = _setting(4, "of how many weeks the newest one is kept")
    months: int = _setting(6, "of how many months the newest one is kept")


@dataclass(frozen=True)
class Draft:
    """Who writes drafts besides the templates."""

    command: str = _setting(
        "", "a program that gets the facts as JSON and prints 'Subject: ...', a blank line, the note"
    )


@dataclass(frozen=True)
class KindRule:
    """What is fitting for one kind of meeting, [kind.NAME]; empty or 0 takes the table's (`thanksd policy NAME`)."""

    nudge: str = _setting("", "when to nudge: '3h' after the meeting, 'next day 09:00', or '3h in 09:00-18:00'")
    best_by: str = _setting("", "until when the thanks is in time: '24h', '7d' after the meeting")
    belated: str = _setting("", "how long after the meeting a note says that it comes late, such as '4d'")
    template: str = _setting("", "the template of its notes")
    offers: tuple[str, ...] = _setting((), "what a note may offer", ("none", *OFFERS))
    greeting: str = _setting("", "the first line, such as 'Dear {first},' or 'Dear {full},'")
    closing: str = _setting("", "the line over the signature, such as 'With best wishes,'")
    shortest: int = _setting(0, "from how many words on a note is long enough")
    longest: int = _setting(0, "up to how many words a note is short enough")
    most: int = _setting(0, "how many letters to one person may go unanswered")
    within: str = _setting("", "in which span these letters are counted, such as '30d'")


@dataclass(frozen=True)
class Config:
    """Every setting, frozen. `kind` maps a kind's name to its own rule."""

    me: Me = field(default_factory=Me)
    transport: Transport = field(default_factory=Transport)
    nudge: Nudge = field(default_factory=Nudge)
    page: Page = field(default_factory=Page)
    send: Send = field(default_factory=Send)
    copies: Copies = field(default_factory=Copies)
    draft: Draft = field(default_factory=Draft)
    kind: dict[str, KindRule] = field(default_factory=dict)


class Setting(NamedTuple):
    """One row of the table of settings."""

    name: str
    default: object
    meaning: str
    choices: tuple[str, ...]


def table(cls: type = Config, prefix: str = "") -> Iterator[Setting]:
    """Give every setting with its dotted name, default and meaning; [kind.NAME] as kind.NAME."""
    for item in fields(cls):
        sub = _table_class(cls, item.name)
        if sub is not None:
            inner = f"{prefix}{item.name}." + ("NAME." if item.name == "kind" else "")
            yield from table(sub, inner)
        else:
            yield Setting(prefix + item.name, item.default, item.metadata["meaning"], item.metadata["choices"])


def _table_class(cls: type, name: str) -> type | None:
    if cls is Config and name == "kind":
        return KindRule
    return next((made for item in fields(cls) if item.name == name and (made := _made_by(item))), None)


def _made_by(item: Any) -> type | None:  # noqa: ANN401  a dataclasses.Field of any type
    factory = item.default_factory
    return factory if isinstance(factory, type) and is_dataclass(factory) else None


def load(path: Path) -> Config:
    """Read the config file; one that is not there gives the defaults.

    Raises ConfigError naming the file, the line and the nearest right key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The config can't be read: {path}: {error}.", f"Look at it: {path}") from error
    return parse(text, str(path))


def parse(text: str, source: str = "config") -> Config:
    """Check and freeze a config's text.

    Raises ConfigError naming `source`, the line and the nearest right key.
    """
    import tomllib  # noqa: PLC0415  a program without a config file needs no parser

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The config is not TOML: {source}: {error}.", f"Mend it: {source}") from error
    reader = _Reader(text, source)
    tables: dict[str, Any] = {
        name: reader.kinds(value) if name == "kind" else reader.table(Config, name, value)
        for name, value in reader.known(Config, "", data)
    }
    return Config(**tables)


class _Reader:
    """Turns parsed TOML into the dataclasses, knowing the text so that an error can name its line."""

    def __init__(self, text: str, source: str) -> None:
        self.lines = text.splitlines()
        self.source = source

    def known(self, cls: type, prefix: str, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        names = [item.name for item in fields(cls)]
        for name, value in data.items():
            if name not in names:
                self.refuse(f"{prefix}{name} is no setting", prefix + name, _nearest(name, names, prefix))
            yield name, value

    def table(self, cls: type, name: str, value: Any, prefix: str = "") -> object:  # noqa: ANN401  as TOML gives it
        sub = _table_class(cls, name)
        if sub is None:
            return self.value(cls, name, value, prefix)
        if not isinstance(value, dict):
            self.refuse(f"{prefix}{name} must be a table", prefix + name, f"Write [{prefix}{name}]")
        inner = f"{prefix}{name}."
        return sub(**{key: self.table(sub, key, item, inner) for key, item in self.known(sub, inner, value)})

    def kinds(self, value: Any) -> dict[str, KindRule]:  # noqa: ANN401  as TOML gives it
        if not isinstance(value, dict):
            self.refuse("kind must be a table", "kind", "Write [kind.coffee]")
        made = {}
        for name, times in value.items():
            if name not in kinds():
                self.refuse(f"kind.{name} is no kind", f"kind.{name}", _nearest(name, list(kinds()), "kind."))
            if not isinstance(times, dict):
                self.refuse(f"kind.{name} must be a table", f"kind.{name}", f"Write [kind.{name}]")
            prefix = f"kind.{name}."
            known = self.known(KindRule, prefix, times)
            words: dict[str, Any] = {key: self.value(KindRule, key, item, prefix) for key, item in known}
            made[name] = KindRule(**words)
        return made

    def value(self, cls: type, name: str, value: object, prefix: str) -> object:
        item = next(item for item in fields(cls) if item.name == name)
        full, choices = prefix + name, item.metadata["choices"]
        if isinstance(item.default, tuple):
            value = tuple(value) if isinstance(value, list) else value
        # bool is an int to isinstance, and `port = true` is no port.
        if type(value) is not type(item.default):
            self.refuse(f"{full} must be {_type_word(item.default)}", full, f"For example: {name} = {_toml(item)}")
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            if choices and part not in choices:
                words = ", ".join(str(choice) or '""' for choice in choices)
                self.refuse(f"{full} can't be {part!r}", full, f"It is one of: {words}")
        return value

    def refuse(self, what: str, full: str, hint: str) -> NoReturn:
        line = _line_of(self.lines, full)
        raise ConfigError(f"The config has a mistake: {self.source}, line {line}: {what}.", hint)


def _nearest(name: str, names: list[str], prefix: str) -> str:
    import difflib  # noqa: PLC0415  only for a mistake

    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {prefix}{close[0]}?" if close else f"There are: {', '.join(names)}"


def _type_word(default: object) -> str:
    return {str: "text in quotes", int: "a whole number", bool: "true or false", tuple: "a list"}[type(default)]


def _toml(item: Any) -> str:  # noqa: ANN401  a dataclasses.Field of any type
    value = item.default
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"' if isinstance(value, str) else str(list(value))


def _line_of(lines: list[str], full: str) -> int:
    """Find the line, counted from 1, on which a dotted name is set; tomllib does not keep positions."""
    table_name = ""
    *tables, key = full.split(".")
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table_name = stripped.strip("[] \t")
            if table_name == full:
                return number
        if table_name == ".".join(tables) and stripped.partition("=")[0].strip().strip("\"'") == key:
            return number
    return 1
