"""The table of mail providers, read from `providers.toml` beside this file: what is known of each, and its source.

A row is found by an address's domain or by the submission server's name. Nothing is looked up in the network: which
provider keeps somebody's own domain is their owner's to say (`by_name`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_NEAR = 0.8
# Of shorter ones nearly everything is a near miss (acme.com and mac.com), and the rarer ones of a provider, which stand
# further back in its row, are meant less often than somebody's own domain.
_SHORTEST, _USUAL = 8, 4
_NO_NAMES = frozenset({"mail", "com", "eu", "de", "org"})


@dataclass(frozen=True)
class Provider:
    """One row; the meaning of each field is told at the top of `providers.toml`.

    `port` is a TCP port, `security` tls or starttls, `auth` password or xoauth2, `login` "address" or "local part".
    `files_sent_copy` is None where it is not known. `checked` is the month (YYYY-MM) in which `sources` were read.
    """

    name: str
    domains: tuple[str, ...]
    mx: tuple[str, ...]
    host: str
    port: int
    security: str
    auth: str
    password: str
    not_the: str
    url: str
    advice: str
    hand_off: str
    sources: tuple[str, ...]
    checked: str
    unchecked: str = ""
    files_sent_copy: bool | None = None
    login: str = "address"
    other_hosts: tuple[str, ...] = ()

    def username(self, address: str) -> str:
        """Give the login name of an address there; empty where it is the address itself."""
        return address.rpartition("@")[0] if self.login == "local part" else ""


@cache
def table() -> dict[str, Provider]:
    """Give every row by its key in the file, in the file's order."""
    import tomllib  # noqa: PLC0415  most commands know no provider

    text = Path(__file__).with_name("providers.toml").read_text(encoding="utf-8")
    return {key: Provider(**_frozen(row)) for key, row in tomllib.loads(text).items()}


def _frozen(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def by_domain(domain: str) -> Provider | None:
    """Give the provider whose addresses end in this domain (lower-case ASCII), or None."""
    for provider in table().values():
        for known in provider.domains:
            if domain == known or (known.startswith(".") and domain.endswith(known)):
                return provider
    return None


def by_host(host: str) -> Provider | None:
    """Give the provider of a submission server, or None."""
    wanted = host.lower().rstrip(".")
    return next((one for one in table().values() if wanted in (one.host, *one.other_hosts)), None)


def by_name(words: str) -> Provider | None:
    """Give the provider that somebody calls by a word of its name: "google", "microsoft", "zoho"; or None."""
    wanted = words.strip().lower()
    for key, provider in table().items():
        called = {key, *key.split("-"), provider.name.lower(), *provider.name.lower().split()[:1]}
        if wanted in called - _NO_NAMES:
            return provider
    return None


def nearest_domain(domain: str) -> str:
    """Give the well-known domain that this one nearly is ("gmial.com"), or "" where it is one itself, or near none."""
    if by_domain(domain) is not None:
        return ""
    import difflib  # noqa: PLC0415  only for a domain that is not known

    known = [one for provider in table().values() for one in provider.domains[:_USUAL] if len(one) >= _SHORTEST]
    near = difflib.get_close_matches(domain, known, n=1, cutoff=_NEAR)
    return near[0] if near else ""
