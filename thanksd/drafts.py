"""Drafts: a template and the facts of one thanks give a subject and a body. The letter's bytes come from `letters`.

A template is looked for in the user's folder (`LANGUAGE/NAME.txt.j2`, then `NAME.txt.j2`), then among the shipped
ones in that language, then in English.
"""

from __future__ import annotations

import difflib
import os
import re
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import jinja2

from thanksd import addresses, language, paths, policy, rendering
from thanksd.errors import DataError, UsageError
from thanksd.facts import Facts, fitting
from thanksd.rendering import Fault, Folder, Note

_ENDING = ".txt.j2"
_DEFAULT = "en"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_DESCRIPTION = re.compile(r"\{#-?\s*description:\s*(.*?)\s*-?#\}")
_VARIANTS = re.compile(r"^\{#-?\s*variants:\s*([1-9])\s*-?#\}", re.MULTILINE)
_VARIANT = re.compile(r"[1-9]")
_SOURCE_LIMIT = 256 * 1024


class Draft(NamedTuple):
    """An editable note, and the name of the template that gave it."""

    subject: str
    body: str
    template: str


class Wording(NamedTuple):
    """A template's name without and with its wording: "coffee/2" is the second of coffee's, "coffee" any of them."""

    base: str
    variant: int

    @property
    def name(self) -> str:
        """The name under which it is found: the first wording is the template's own name."""
        return f"{self.base}/{self.variant}" if self.variant > 1 else self.base


def wording(name: str) -> Wording:
    """Split a template's name from its wording; the first where none is named."""
    base, slash, number = name.partition("/")
    return Wording(base, int(number)) if slash and _VARIANT.fullmatch(number) else Wording(name, 1)


class Problem(NamedTuple):
    """Something wrong with a template; `line` counts from 1, 0 is none in particular."""

    file: Path
    line: int
    message: str


class TemplateInfo(NamedTuple):
    """A template that can be used; `source` is "yours" or "shipped"."""

    name: str
    lang: str
    source: Literal["yours", "shipped"]
    path: Path
    description: str


def render(template: str, facts: Facts, lang: str, user_folder: Path, form: str = "note") -> Draft:
    """Render a draft from the template of that name, in the wording that it names, else the first.

    `form` is one of `rendering.FORMS`. Raises UsageError for a name that no template has, DataError with file and line
    for a template that can't be used.
    """
    asked = _asked(template, lang, user_folder)
    found = _find(asked.base, lang, user_folder)
    facts = {**facts, "variant": asked.variant}
    if found.source == "shipped":
        answer = rendering.render_here(_shipped_sandbox(found.lang), found.path.name, facts, form)
    else:
        job = _job(found.path.name, _own(lang, user_folder), lang, [facts])
        answer = rendering.render_apart({**job, "form": form})[0]
    if isinstance(answer, Note):
        answer = _tidied(answer, found.path)
    if isinstance(answer, Fault):
        place = f"{_full(answer, found.path)}, line {answer.line}" if answer.line else str(_full(answer, found.path))
        raise DataError(
            f"The template can't be used: {place}: {answer.message}.", "Look at it: thanksd templates check"
        )
    return Draft(answer.subject, answer.body, template)


def check(path: Path, user_folder: Path) -> list[Problem]:
    """Give what is wrong with a template: its syntax, facts that do not exist, a subject or body that is missing.

    It is rendered with made-up facts, in the child. Raises UsageError where there is no such file.
    """
    full = path.absolute()
    if not os.path.lexists(full):
        raise UsageError(f"There is no such file: {path}.", "See what there is: thanksd templates list")
    in_language = full.parent.parent == user_folder.absolute()
    lang = full.parent.name if in_language and _LANGUAGE.fullmatch(full.parent.name) else _DEFAULT
    base = user_folder if full.is_relative_to(user_folder.absolute()) else full.parent
    own = [Folder(str(full.parent), str(base.absolute())), *_own(lang, user_folder)]
    answers = rendering.render_apart(_job(full.name, own, lang, _samples(lang)))
    tidied = [_tidied(one, full) if isinstance(one, Note) else one for one in answers]
    faults = (one for one in tidied if isinstance(one, Fault))
    return list(dict.fromkeys(Problem(_full(one, full), one.line, one.message) for one in faults))


def exists(name: str, lang: str, user_folder: Path) -> bool:
    """Say whether there is a template of that name, whatever its wording."""
    base = wording(name).base
    return any(one.name == base for one in available(lang, user_folder))


def wordings(name: str, lang: str, user_folder: Path) -> list[str]:
    """Give the names of a template's wordings, the first one's first. Raises UsageError for no template's name."""
    base = wording(name).base
    found = _VARIANTS.search(_head(_find(base, lang, user_folder).path))
    return [Wording(base, variant).name for variant in range(1, int(found[1]) + 1 if found else 2)]


def _asked(name: str, lang: str, user_folder: Path) -> Wording:
    asked = wording(name)
    if asked.variant > 1 and asked.name not in (known := wordings(asked.base, lang, user_folder)):
        raise UsageError(f"There is no wording {asked.name!r}.", f"There are: {', '.join(known)}")
    return asked


def available(lang: str, user_folder: Path) -> list[TemplateInfo]:
    """Give every template that can be used in `lang`, by name; the user's own stand before the shipped ones."""
    found: dict[str, TemplateInfo] = {}
    for tag, kind, folder in _folders(lang, user_folder):
        for path in sorted(folder.glob(f"*{_ENDING}")):
            name = path.name.removesuffix(_ENDING)
            if _NAME.fullmatch(name) and name not in found:
                found[name] = TemplateInfo(name, tag, kind, path, _description(path))
    return [found[name] for name in sorted(found)]


def source(name: str, lang: str, user_folder: Path) -> tuple[Path, str]:
    """Give a template's file and its text.

    Raises UsageError for a name that no template has, DataError for a file that can't be read.
    """
    path = _find(_asked(name, lang, user_folder).base, lang, user_folder).path
    try:
        if not path.is_file() or path.stat().st_size > _SOURCE_LIMIT:
            raise DataError(f"This is not a template: {path}.", "A template is a text file of at most 256 KiB.")
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The template can't be read: {path}: {error}.", "Look at the file.") from error


def _folders(lang: str, user_folder: Path) -> list[tuple[str, Literal["yours", "shipped"], Path]]:
    lang = lang if _LANGUAGE.fullmatch(lang) else _DEFAULT
    culture, shipped = policy.culture(lang), paths.data_folder("templates")
    more: list[tuple[str, Literal["yours"], Path]] = [(culture, "yours", user_folder / culture)]
    return [
        (lang, "yours", user_folder / lang),
        *(more if culture != lang else []),
        (lang, "yours", user_folder),
        (culture, "shipped", shipped / culture),
        (_DEFAULT, "shipped", shipped / _DEFAULT),
    ]


def _find(name: str, lang: str, user_folder: Path) -> TemplateInfo:
    if _NAME.fullmatch(name):
        for tag, kind, folder in _folders(lang, user_folder):
            path = folder / f"{name}{_ENDING}"
            # A broken symlink is found too: to pass it over in silence would hide the user's own template.
            if os.path.lexists(path):
                return TemplateInfo(name, tag, kind, path, "")
    known = [info.name for info in available(lang, user_folder)]
    close = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}"
    raise UsageError(f"There is no template {addresses.display_safe(name[:60])!r}.", hint)


def _own(lang: str, user_folder: Path) -> list[Folder]:
    base = str(user_folder.absolute())
    found = _folders(lang, user_folder)
    return [Folder(str(path.absolute()), base) for _, kind, path in found if kind == "yours"]


def _shipped(lang: str) -> list[Folder]:
    base = str(paths.data_folder("templates"))
    return [Folder(str(path), base) for _, kind, path in _folders(lang, Path()) if kind == "shipped"]


@cache
def _shipped_sandbox(lang: str) -> jinja2.Environment:
    return rendering.environment([], _shipped(lang), lang)


def _job(name: str, own: list[Folder], lang: str, facts: list[Facts]) -> rendering.Job:
    return {
        "name": name,
        "language": policy.culture(lang),
        "form": "note",
        "own": own,
        "shipped": _shipped(lang),
        "facts": facts,
    }


def _tidied(note: Note, path: Path) -> Note | Fault:
    """Give a note without spaces at line ends, double spaces and double empty lines, or what is wrong with it."""
    subject, body = note.subject.strip(), note.body.replace("\r\n", "\n").strip()
    if "\n" in subject:
        return Fault(str(path), 0, "its subject has more than one line")
    # A signature may have tabs.
    strange = next((char for char in subject + body.translate(_LINE_MAKERS) if addresses.is_control(char)), "")
    if strange:
        return Fault(str(path), 0, f"it gives a character that can't be mailed: U+{ord(strange):04X}")
    lines = "\n".join(line.rstrip() for line in re.sub(r" {2,}", " ", body).split("\n"))
    return Note(re.sub(r" {2,}", " ", subject), re.sub(r"\n{3,}", "\n\n", lines))


_LINE_MAKERS = str.maketrans("", "", "\n\t")


def _full(fault: Fault, path: Path) -> Path:
    return Path(fault.file) if fault.file.startswith("/") else path


def _description(path: Path) -> str:
    found = _DESCRIPTION.match(_head(path).partition("\n")[0])
    return addresses.display_safe(found[1]) if found else ""


def _head(path: Path) -> str:
    """Give a template's first lines, where it says what it is; "" of what can't be read."""
    try:
        # A named pipe would never end.
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(500) + file.readline(500)
    except OSError:
        return ""


def sample_facts(kind: str, lang: str = "en", seniority: str = "peer") -> Facts:
    """Give made-up facts of a meeting of that kind, with everything known, in the words of the language."""
    sample, dates = language.of(lang).sample.at(kind), language.of(lang).dates
    rule = policy.rule(kind, lang, seniority)
    friday = dates.full.format(weekday=dates.weekdays[4], day=14, month=dates.months[2])
    return {
        "me": {"name": sample.me, "email": "sam.lee@example.com", "signature": sample.me},
        "person": {"name": sample.person, "email": "ada@example.com", "lang": lang, "seniority": seniority},
        "meeting": {
            "kind": kind,
            "weekday": dates.weekdays[1],
            "date": dates.date.format(day=11, month=dates.months[2]),
            "place": sample.place,
            "about": sample.about,
        },
        "details": [sample.detail],
        "promises": [{"text": sample.promise, "due": friday}],
        "others": [sample.other],
        "via": sample.via,
        "again": "",
        "outcome": "",
        "pass_on": [],
        "days_since": 1,
        "belated": False,
        "variant": 1,
        "fitting": fitting(rule, sample.person),
    }


def _samples(lang: str) -> list[Facts]:
    """Give facts that between them take every branch a template is likely to have."""
    full = sample_facts("general", lang)
    late: Facts = {
        **sample_facts("general", lang, "above"),
        "days_since": 9,
        "belated": True,
        "again": "9",
        "pass_on": [full["via"]],
    }
    very: Facts = {**late, "days_since": 400}
    bare: Facts = {
        **full,
        "meeting": {**full["meeting"], "place": "", "about": ""},
        "details": [],
        "promises": [],
        "others": [],
        "via": "",
    }
    plain: Facts = {**bare, "details": full["details"]}
    return [full, late, very, bare, plain, {**full, "variant": 2}, {**full, "variant": 3}]
