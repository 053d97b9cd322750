"""The table of mail providers: every row is whole, and is found by what people type."""

from __future__ import annotations

import re

import pytest

from thanksd import config, providers
from thanksd.addresses import check_address
from thanksd.providers import Provider
from thanksd.transports.smtp import check_account

TABLE = providers.table()


def test_the_table_has_the_usual_providers() -> None:
    wanted = {
        "gmail",
        "google-workspace",
        "outlook",
        "microsoft-365",
        "icloud",
        "yahoo",
        "aol",
        "fastmail",
        "proton",
        "gmx",
    }
    wanted |= {
        "web-de",
        "posteo",
        "mailbox-org",
        "zoho",
        "zoho-eu",
        "yandex",
        "qq",
        "netease-163",
        "naver",
        "ionos",
        "t-online",
    }
    assert wanted <= set(TABLE)


@pytest.mark.parametrize("key", TABLE)
def test_a_row_says_what_it_knows_from_where_and_when(key: str) -> None:
    row = TABLE[key]
    check_account(config.Smtp(host=row.host, port=row.port, security=row.security, auth=row.auth))
    assert (row.security, row.auth) in {("tls", "password"), ("starttls", "password"), ("starttls", "xoauth2")}
    assert row.security != "tls" or row.port == 465
    assert row.sources
    assert re.fullmatch(r"20\d\d-\d\d", row.checked)
    assert re.match(r"https://[a-z]", row.url)
    assert row.advice
    assert row.password
    assert row.files_sent_copy is not None or "copy is filed" in row.unchecked
    assert (row.hand_off == "outlook") == (row.auth == "xoauth2")
    for domain in row.domains:
        assert check_address(f"ada@{'tenant' * domain.startswith('.')}{domain}").endswith(domain)


def test_no_domain_and_no_server_name_is_in_two_rows() -> None:
    domains = [domain for row in TABLE.values() for domain in row.domains]
    assert len(domains) == len(set(domains))
    hosts = [host for key, row in TABLE.items() if key != "google-workspace" for host in (row.host, *row.other_hosts)]
    assert len(hosts) == len(set(hosts))


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("gmail.com", "Gmail"), ("googlemail.com", "Gmail"), ("live.com", "Outlook.com"), ("me.com", "iCloud"),
        ("careers.onmicrosoft.com", "Microsoft 365"), ("onmicrosoft.com", None), ("example.org", None),
        ("notgmail.com", None), ("mail.com", "mail.com"),
    ],
)  # fmt: skip
def test_an_address_names_its_provider(domain: str, name: str | None) -> None:
    assert _name(providers.by_domain(domain)) == name


@pytest.mark.parametrize(
    ("host", "name", "files"),
    [
        ("smtp.gmail.com", "Gmail", True), ("SMTP.Office365.com.", "Microsoft 365", True), ("posteo.de", "Posteo", False),
        ("smtp.fastmail.com", "Fastmail", None), ("127.0.0.1", "Proton Mail Bridge", True), ("localhost", None, None),
        ("mail.example.org", None, None),
    ],
)  # fmt: skip
def test_a_server_names_its_provider_and_whether_a_copy_is_filed(
    host: str, name: str | None, files: bool | None
) -> None:
    found = providers.by_host(host)
    assert (_name(found), found.files_sent_copy if found else None) == (name, files)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("google", "Google Workspace"), ("Microsoft", "Microsoft 365"), ("zoho", "Zoho Mail"), ("web.de", "WEB.DE"),
        ("proton", "Proton Mail Bridge"), ("mail", None), ("com", None), ("", None), ("smtp.example.org", None),
    ],
)  # fmt: skip
def test_a_word_of_its_name_is_enough(word: str, name: str | None) -> None:
    assert _name(providers.by_name(word)) == name


@pytest.mark.parametrize(
    ("domain", "nearest"),
    [
        ("gmial.com", "gmail.com"), ("gmail.con", "gmail.com"), ("hotmial.com", "hotmail.com"), ("yaho.com", "yahoo.com"),
        ("outlok.com", "outlook.com"), ("fastmial.com", "fastmail.com"), ("protonmail.co", "protonmail.com"),
        # Known, though near another; and domains that are somebody's own.
        ("mail.com", ""), ("gmail.com", ""), ("yahoo.de", ""), ("acme.com", ""), ("we.com", ""), ("example.org", ""),
        ("company.de", ""), ("mail.de", ""), ("x" * 253, ""),
    ],
)  # fmt: skip
def test_a_near_miss_is_noticed_and_a_domain_of_ones_own_is_not(domain: str, nearest: str) -> None:
    assert providers.nearest_domain(domain) == nearest


def test_a_login_name_may_be_the_local_part() -> None:
    assert TABLE["web-de"].username("sam.lee@web.de") == "sam.lee"
    assert TABLE["gmail"].username("sam@gmail.com") == ""


def _name(found: Provider | None) -> str | None:
    return found.name if found else None
