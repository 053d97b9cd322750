"""Text and addresses that come from outside: checked, cleaned, folded for lookups, made safe to print. Pure.

Kept cheap to import, because every command that adds somebody needs it.
"""

from __future__ import annotations

import re
import unicodedata

from thanksd.errors import UsageError

# Characters that turn text around (Unicode Standard Annex 9, table 4): what is read is then not what is stored.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_SEPARATORS = frozenset("\u2028\u2029")

# RFC 5321, section 4.5.3.1, and the 256 octets of a path there, less its angle brackets.
_MAX_ADDRESS, _MAX_LOCAL, _MAX_DOMAIN = 254, 64, 253

# RFC 5322 dot-atom. Quoted local parts are legal and refused: nobody has one, and half of the world's servers and
# parsers read them differently.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# IDNA 2008 (RFC 5894, section 7.2) gives these a meaning of their own; Python's codec is IDNA 2003 and maps them
# away, so a letter would go to somebody else's domain.
_DEVIATIONS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")

_EXAMPLE = "An address looks like ada@example.com."


def is_control(char: str) -> bool:
    """Say whether a character is a control (line feed and tab too), a lone surrogate or a line separator."""
    return unicodedata.category(char) in ("Cc", "Cs") or char in _SEPARATORS


def is_unsafe(char: str) -> bool:
    """Say whether a character is a control, or turns text around."""
    return is_control(char) or char in _BIDI


def clean_text(text: str, what: str, limit: int) -> str:
    """Give `text` in NFC without outer whitespace; at most `limit` characters, none of them unsafe.

    Raises UsageError naming `what`, such as "name".
    """
    stripped = text.strip(" \t\r\n")
    # Before NFC, which is slow on a text of hostile length.
    if len(stripped) > limit:
        raise UsageError(f"The {what} is too long: {len(stripped)} characters, at most {limit}.", "Shorten it.")
    for char in stripped:
        if is_unsafe(char):
            raise UsageError(f"The {what} has a character that can't be kept: U+{ord(char):04X}.", "Type it anew.")
    return unicodedata.normalize("NFC", stripped).strip()


def fold(text: str) -> str:
    """Give what lookups compare: no case, no accents, single spaces."""
    if text.isascii():  # the common case at C speed
        return " ".join(text.lower().split())
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return " ".join(plain.casefold().split())


def display_safe(text: str, *, multiline: bool = False) -> str:
    r"""Give text that a terminal can only print: unsafe characters become visible escapes such as \x1b or \u202e.

    With `multiline`, line feeds stay.
    """
    if text.isprintable():  # the common case at C speed: no control, format or separator character is printable
        return text
    return "".join(_escaped(char) if is_unsafe(char) and not (multiline and char == "\n") else char for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  the first code \x can't write


def check_address(text: str) -> str:
    """Give the one address in `text`, its domain in lower-case ASCII (IDN as punycode), its local part as it is.

    Raises UsageError, saying what is wrong, for anything but one plain address (RFC 5321, 4.1.2, without quotes) whose
    domain has a dot or is `localhost`.
    """
    address = text.strip(" ")
    local, _, domain = address.rpartition("@")
    _check_local(address, local)
    ascii_domain = _ascii_domain(address, domain)
    result = f"{local}@{ascii_domain}"
    if len(result) > _MAX_ADDRESS:
        raise _refused(address, f"it is longer than {_MAX_ADDRESS} characters")
    return result


def _refused(address: str, why: str) -> UsageError:
    shown = display_safe(address[:80])
    return UsageError(f"This is not an address letters can go to: {shown or 'nothing'}: {why}.", _EXAMPLE)


def _check_local(address: str, local: str) -> None:
    if any(is_unsafe(char) for char in address):
        raise _refused(address, "it has a control character")
    if "@" not in address:
        raise _refused(address, "there is no @")
    if "@" in local or "," in local or ";" in local:
        raise _refused(address, "there must be exactly one address")
    if not local.isascii():
        raise _refused(address, "letters outside a to z before the @ can't be mailed yet")
    if len(local) > _MAX_LOCAL or not _LOCAL.fullmatch(local):
        raise _refused(address, "the part before the @ is wrong")


def _ascii_domain(address: str, domain: str) -> str:
    if _DEVIATIONS & set(domain):
        raise _refused(address, "its domain can be read in two ways; write it in its xn-- form")
    # The length first: the codec's time grows with the square of it (CVE-2022-45061).
    if len(domain) > _MAX_DOMAIN:
        raise _refused(address, "its domain is too long")
    try:
        name = domain.lower() if domain.isascii() else domain.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise _refused(address, "its domain is wrong") from error
    if not _is_host_name(name):
        raise _refused(address, "its domain is wrong, or has no dot")
    return name


def _is_host_name(name: str) -> bool:
    labels = name.split(".")
    if name != "localhost" and (len(labels) == 1 or labels[-1].isdigit()):
        return False
    return len(name) <= _MAX_DOMAIN and all(_LABEL.fullmatch(label) for label in labels)
