"""The picture of the rooms, held: who may import whom is read from the source, not from good intentions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "thanksd"

PURE = frozenset(
    {
        "addresses",
        "asks",
        "calendar_file",
        "charts",
        "dating",
        "days",
        "etiquette",
        "facts",
        "grounding",
        "language",
        "moments",
        "names",
        "offers",
        "phrases",
        "phrasing",
        "policy",
        "reuse",
        "states",
        "telling",
        "timing",
        "tone",
        "when",
    }
)
# What every room may use.
GROUND = PURE | {"errors"}
# The ledger and what moves it: nobody but verbs (and one another, downwards) comes near.
STORE = frozenset(
    {
        "models",
        "rows",
        "database",
        "journal",
        "queries",
        "counts",
        "ledger",
        "outbox",
        "recovery",
        "copies",
        "forgotten",
        "guard",
        "upgrade",
        "store",
        "postgres",
        "transfer",
    }
)

# Room: the rooms it may import besides GROUND. Doors (cli, client, daemon ...) have rules of their own below.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    **dict.fromkeys(PURE, frozenset[str]()),
    "config": frozenset(),
    "config_file": frozenset({"config", "paths"}),
    "topics": frozenset({"config", "paths"}),
    "paths": frozenset(),
    "kept": frozenset({"paths"}),
    "instance": frozenset(),
    "sealing": frozenset(),
    "service": frozenset({"paths"}),
    "credentials": frozenset({"config", "sealing"}),
    "models": frozenset(),
    "rows": frozenset({"models"}),
    "mounts": frozenset(),
    "stamp": frozenset({"paths"}),
    "guard": frozenset({"models", "rows", "stamp"}),
    "store": frozenset({"guard", "instance", "paths", "stamp"}),
    "database": frozenset(
        {"guard", "instance", "kept", "models", "mounts", "paths", "postgres", "stamp", "store", "upgrade"}
    ),
    "server": frozenset({"stamp"}),
    "postgres": frozenset({"guard", "instance", "models", "paths", "server", "stamp", "store", "upgrade"}),
    "upgrade": frozenset({"database", "mounts", "paths", "postgres", "server", "store"}),
    "journal": frozenset({"models", "rows"}),
    "queries": frozenset({"models", "rows"}),
    "counts": frozenset({"models", "queries", "rows"}),
    "ledger": frozenset({"journal", "models", "queries", "rows"}),
    "forgotten": frozenset({"models", "rows"}),
    "transfer": frozenset({"models"}),
    "outbox": frozenset({"journal", "ledger", "models", "queries", "rows"}),
    "recovery": frozenset({"journal", "ledger", "models", "outbox", "rows"}),
    "copies": frozenset({"journal", "models", "outbox", "rows"}),
    "providers": frozenset(),
    "rendering": frozenset({"paths"}),
    "drafts": frozenset({"paths", "rendering"}),
    "letters": frozenset(),
    "channels": frozenset({"config", "credentials", "letters", "paths", "sealing", "transports"}),
    "transports": frozenset({"config", "credentials", "paths"}),
    "verbs": STORE
    | {
        "channels",
        "config",
        "drafts",
        "instance",
        "kept",
        "letters",
        "mounts",
        "paths",
        "providers",
        "rendering",
        "transports",
    },
}

# Library: the only rooms that know it is there.
LIBRARIES: dict[str, frozenset[str]] = {
    "sqlalchemy": STORE | {"verbs"},
    "alembic": frozenset({"upgrade"}),
    "jinja2": frozenset({"drafts", "rendering", "page"}),
    "starlette": frozenset({"page"}),
    "uvicorn": frozenset({"page"}),
    "apscheduler": frozenset({"daemon"}),
    "keyring": frozenset({"credentials"}),
    "jeepney": frozenset({"channels"}),
    "apprise": frozenset({"channels"}),
    "psycopg": frozenset({"server"}),
    "click": frozenset({"cli"}),
    "icalendar": frozenset({"calendar_file"}),
}


class Import(NamedTuple):
    """One import: of what, by which room, where, and whether it runs as soon as the module is loaded."""

    target: str
    room: str
    where: str
    at_start: bool


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _targets(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parents = ("thanksd", *path.relative_to(PACKAGE).parts[:-1])
        base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
    # `from thanksd import ledger` imports a room; of `from sqlalchemy import select` the library is all that matters.
    return [f"{base}.{alias.name}" for alias in node.names]


def _walk(node: ast.AST, *, at_start: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_start
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types_only(child)
        yield from _walk(child, at_start=at_start and not lazy)


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _imports() -> list[Import]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node, at_start in _walk(ast.parse(path.read_text(encoding="utf-8")), at_start=True):
            where = f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
            found += [Import(target, _room(path), where, at_start) for target in _targets(node, path)]
    return found


IMPORTS = _imports()
ROOMS = {_room(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}


def _own(found: Import) -> str | None:
    """The room of ours that is imported, or None for a library or a name of the package itself."""
    parts = found.target.split(".")
    return parts[1] if parts[0] == "thanksd" and len(parts) > 1 and parts[1] in ROOMS else None


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_the_picture_allows(room: str) -> None:
    allowed = MAY_IMPORT[room] | (GROUND if room != "errors" else frozenset()) | {room}
    wrong = [f"{i.where} imports {i.target}" for i in IMPORTS if i.room == room and _own(i) not in {None, *allowed}]
    assert not wrong


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_is_known_only_to_its_rooms(library: str) -> None:
    users = [i for i in IMPORTS if i.target.split(".")[0] == library]
    wrong = [f"{i.where} imports {i.target}" for i in users if i.room not in LIBRARIES[library]]
    assert not wrong


def test_a_door_never_reaches_past_the_verbs_to_the_ledger() -> None:
    doors = ROOMS - set(MAY_IMPORT)
    # Opening a store is the doors' business; moving what is in it is not.
    behind = STORE - {"database", "store"}
    wrong = [f"{i.where} imports {i.target}" for i in IMPORTS if i.room in doors and _own(i) in behind]
    assert not wrong


def test_a_thin_call_loads_no_verb_and_no_store() -> None:
    heavy = STORE | {"verbs", "drafts", "rendering", "daemon", "world"}
    thin = [i for i in IMPORTS if i.room in {"cli", "client"} and i.at_start]
    wrong = [f"{i.where} imports {i.target}" for i in thin if _own(i) in heavy]
    assert not wrong


def test_no_room_imports_a_door() -> None:
    doors = {"cli", "client", "daemon"}
    wrong = [f"{i.where} imports {i.target}" for i in IMPORTS if i.room in MAY_IMPORT and _own(i) in doors]
    assert not wrong


def test_pure_rooms_never_ask_the_clock() -> None:
    wrong = []
    for path in (PACKAGE / f"{room}.py" for room in PURE):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] in {"now", "utcnow", "today", "monotonic"} or called == "time.time":
                wrong.append(f"{path.name}:{node.lineno} calls {called}")
    assert not wrong
