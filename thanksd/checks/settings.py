"""The check `config`: can it be read, do its values mean something, can others read it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from thanksd import config_file
from thanksd.checks import Finding, Place, look_at, mend, ok
from thanksd.checks.places import opened_to_others
from thanksd.config import Config, load
from thanksd.errors import ConfigError, ThanksdError

_SHOWN = 60


def config(place: Place) -> Iterator[Finding]:
    """Look at the config file, and at every value that else is understood only when it is used."""
    path = place.config_file
    if not path.exists():
        yield look_at("config", f"There is no config yet: {path}.", "Set thanksd up: thanksd init")
        return
    try:
        loaded = load(path)
    except ConfigError as error:
        yield mend("config", error.message, error.hint)
        return
    found = [*_values(loaded), *_sender(loaded), *_owner(place, loaded), *opened_to_others("config", path)]
    yield from found or [ok("config", f"{path}: every value can be understood.")]


def _values(loaded: Config) -> Iterator[Finding]:
    """Say which values can't be understood, as `config set` would have."""
    for name, value in config_file.settings(loaded).items():
        words = config_file.as_words(value)
        try:
            config_file.understood(name, words)
        except ThanksdError as error:
            default = config_file.as_words(config_file.value_of(Config(), name))
            remedy = f"Set it anew: thanksd config set {name} {shlex.quote(default)}"
            yield mend("config", f"{name} can't be {words[:_SHOWN]!r}. {error.hint}", remedy)


def _owner(place: Place, loaded: Config) -> Iterator[Finding]:
    """Say what a shared ledger can't do without."""
    if place.is_shared and not loaded.me.email and not loaded.transport.kind:
        words = "Your own address is not set: in a shared ledger it says whose thanks are yours."
        yield mend("config", words, "Set it: thanksd config set me.email YOU@EXAMPLE.COM")


def _sender(loaded: Config) -> Iterator[Finding]:
    """Say what a letter can't do without."""
    if loaded.transport.kind and not loaded.me.email:
        words = "Your own address is not set: no letter can leave."
        yield mend("config", words, "Set it: thanksd config set me.email YOU@EXAMPLE.COM")
    if loaded.transport.kind and not loaded.me.name:
        words = "Your name is not set: letters end without one."
        yield look_at("config", words, "Set it: thanksd config set me.name NAME")
