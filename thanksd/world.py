"""What the doors read from the world for a verb: the store, the config, the clock, the zone, the credentials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from thanksd import config, paths, verbs
from thanksd.database import open_store
from thanksd.errors import ConfigError, ThanksdError, UsageError
from thanksd.policy import known_zone
from thanksd.verbs.context import Context


class World:
    """One store and one config file, as a door sees them. The config is read again when its file changed."""

    def __init__(
        self, store: str, config_file: str, *, keep_connections: bool = False, stopping: Callable[[], bool] = bool
    ) -> None:
        self.store = open_store(store, keep_connections=keep_connections)
        self.config_file = Path(config_file)
        self._stopping = stopping
        self._config = config.Config()
        self._seen: tuple[int, int] | None = None
        self._reload()

    def call(
        self, verb: str, params: dict[str, Any], *, tz: str | None = None, stopping: Callable[[], bool] | None = None
    ) -> dict[str, Any]:
        """Run a verb here. `tz` is the TZ of the person who asks, where that is another process.

        `stopping` says that the program was asked to end, where that is known for this call alone.
        """
        context = self.context(tz)
        return verbs.call(verb, context if stopping is None else replace(context, stopping=stopping), params)

    def context(self, tz: str | None = None) -> Context:
        """Read the world and give it to a verb."""
        self._reload()
        zone = user_zone(self._config.me.timezone, os.environ.get("TZ", "") if tz is None else tz)
        return Context(
            store=self.store,
            config=self._config,
            templates=paths.user_templates(self.config_file),
            zone=zone,
            clock=now,
            secret=self._secret(),
            stopping=self._stopping,
        )

    @property
    def settings(self) -> config.Config:
        """The config as it was last read."""
        return self._config

    def _reload(self) -> None:
        try:
            info = self.config_file.stat()
            seen = (info.st_mtime_ns, info.st_size)
        except FileNotFoundError:
            seen = (0, 0)
        if seen != self._seen:
            self._config = config.load(self.config_file)
            self._seen = seen

    def _secret(self) -> Callable[[], str] | None:
        """Give the reader of the password, which is called once at each connect."""
        smtp, me, environ = self._config.transport.smtp, self._config.me.email, dict(os.environ)
        if self._config.transport.kind != "smtp" or smtp.auth == "none":
            return None
        return lambda: _read_secret(smtp, me, environ)


def _read_secret(smtp: config.Smtp, me: str, environ: Mapping[str, str]) -> str:
    from thanksd import credentials  # noqa: PLC0415  only a connection needs them

    reader = credentials.reader(smtp, me, environ)
    return reader() if reader is not None else ""


def now() -> datetime:
    """Give the moment, in UTC."""
    return datetime.now(UTC)


def user_zone(setting: str, tz: str) -> str:
    """Give the user's zone: the setting, else TZ, else the system's; UTC where none is known.

    TZ may name a zone's file too (tzset(3)). A TZ that names no zone, such as "CET-1CEST", is passed over.
    Raises ConfigError for a setting that names no zone.
    """
    if setting:
        try:
            return known_zone(setting)
        except UsageError as error:
            raise ConfigError(f"The setting me.timezone is no zone. {error.message}", error.hint) from error
    return _zone_of(_name_in(tz.removeprefix(":"))) or _zone_of(_system_zone()) or "UTC"


@lru_cache(maxsize=16)
def _zone_of(name: str) -> str:
    """Give the zone of this name, "" where there is none; cached, as a name that is none is looked for in every one."""
    try:
        return known_zone(name) if name else ""
    except UsageError:
        return ""


def _name_in(path: str) -> str:
    """Give the zone's name in the path of its file; what is no such path is given back."""
    return path.partition("/zoneinfo/")[2] or path


def _system_zone() -> str:
    """Give the system's zone by the link that systemd and Debian keep, else as tzlocal finds it."""
    target = os.path.realpath("/etc/localtime")
    if (name := _name_in(target)) != target:
        return name
    import tzlocal  # noqa: PLC0415  only where the link is not there

    try:
        return str(tzlocal.get_localzone_name())
    except (ThanksdError, ValueError, LookupError):
        return ""
