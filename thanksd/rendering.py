"""The sandbox: renders a template from plain facts, here (shipped ones) or in a child with limits (the user's own).

Jinja2's sandbox keeps a template from our objects, and not from the processor and the memory: `'x' * 10**9` is a fine
template to it. So what a user wrote is rendered in a process of its own that may use 2 s of CPU and 512 MiB.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypedDict, cast

import jinja2
import markupsafe
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

from thanksd import names, phrasing
from thanksd.errors import TryLaterError
from thanksd.facts import GAP, Facts, Person

CPU_SECONDS, WALL_SECONDS = 2, 5
MEMORY_BYTES, OUTPUT_BYTES = 512 * 1024 * 1024, 256 * 1024
# JSON writes one byte of text as at most six.
_REPLY_BYTES = 8 * OUTPUT_BYTES


class Folder(NamedTuple):
    """A folder templates are read from; nothing they name may lie outside `base`, by symlink either."""

    path: str
    base: str


class Job(TypedDict):
    """What to render: `name`, looked for in `own` and then in `shipped` folders, once for each of `facts`.

    `language` is one of `policy.cultures`; `form` is that of a note (one of FORMS).
    """

    name: str
    language: str
    form: str
    own: list[Folder]
    shipped: list[Folder]
    facts: list[Facts]


class Note(NamedTuple):
    """A rendered note, as the template gave it."""

    subject: str
    body: str


class Fault(NamedTuple):
    """Why a template can't be used: `line` counts from 1, 0 is none in particular."""

    file: str
    line: int
    message: str


# A note as a letter, as a message of 200 characters, as three lines on a card; the blocks that give it, the best first.
FORMS = {"note": ("letter", "body"), "short": ("short",), "card": ("card",)}


class _Confined(jinja2.BaseLoader):
    """Reads templates below one folder, and never what a symlink shows of the rest of the machine."""

    def __init__(self, folder: Folder) -> None:
        self.path, self.base = Path(folder.path), Path(folder.base)

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, None]:
        del environment
        path = self.path.joinpath(*split_template_path(template))
        if not os.path.lexists(path):
            raise jinja2.TemplateNotFound(template)
        if not path.resolve().is_relative_to(self.base.resolve()):
            raise jinja2.TemplateRuntimeError(f"{template} leads out of the folder {self.base}")
        if not path.is_file():
            raise jinja2.TemplateRuntimeError(f"{template} is not a file")
        return path.read_text(encoding="utf-8"), str(path), None


def environment(own: Iterable[Folder], shipped: Iterable[Folder], language: str) -> jinja2.Environment:
    """Make the sandbox that finds templates in `own`, then in `shipped`; "shipped/NAME" names the latter outright.

    Its filters make sentences in `language`, one of `policy.cultures`.
    """
    of_ours = jinja2.ChoiceLoader([_Confined(folder) for folder in shipped])
    made = ImmutableSandboxedEnvironment(
        loader=jinja2.ChoiceLoader(
            [*(_Confined(folder) for folder in own), of_ours, jinja2.PrefixLoader({"shipped": of_ours})]
        ),
        undefined=jinja2.StrictUndefined,
        # The result is text/plain: an & must stay an &.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["GAP"] = GAP
    made.filters |= {
        "greeted": _greeted,
        **phrasing.filters(language),
    }
    return made


def _greeted(person: Person) -> str:
    return names.greeting(person["name"], person["seniority"]) or GAP


def render_here(sandbox: jinja2.Environment, name: str, facts: Facts, form: str) -> Note | Fault:
    """Render a template in this process: for shipped ones, or inside the child. `form` is one of FORMS."""
    try:
        return _render(sandbox, name, facts, form)
    # A template can raise anything that Python can, and all of it is the template's fault.
    except Exception as error:  # noqa: BLE001
        return _fault(error, name)


def _render(sandbox: jinja2.Environment, name: str, facts: Facts, form: str) -> Note:
    template = sandbox.get_template(name)
    context = template.new_context(cast("dict[str, Any]", facts))
    try:
        # Running the whole fills context.blocks with those that it inherits; its text is not needed.
        _joined(template.root_render_func(context))
        wanted = {"subject", "thanks", *FORMS[form]}
        blocks = {key: _joined(stack[0](context)) for key, stack in context.blocks.items() if key in wanted}
    except Exception:  # noqa: BLE001  raised again, with the template's lines in place of the compiled code's
        _raise_rewritten(sandbox)
    # Where a template gives no subject of its own, what it says thanks for is the subject.
    blocks["subject"] = blocks.get("subject", "").strip() or blocks.get("thanks", "")
    for block in ("subject", FORMS[form][-1]):
        _need(blocks, block, template.filename)
    return Note(blocks["subject"], blocks.get(FORMS[form][0], blocks[FORMS[form][-1]]))


def _raise_rewritten(sandbox: jinja2.Environment) -> NoReturn:
    """Raise the exception in hand with a traceback that has the template's lines."""
    sandbox.handle_exception()


def _need(blocks: dict[str, str], block: str, filename: str | None) -> None:
    if not blocks.get(block, "").strip():
        raise jinja2.TemplateSyntaxError(f"there is no {block} block, or it is empty", 1, None, filename)


def _joined(chunks: Iterable[str]) -> str:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > OUTPUT_BYTES:
            raise jinja2.TemplateRuntimeError(f"it gives more than {OUTPUT_BYTES // 1024} KiB of text")
        parts.append(chunk)
    return "".join(parts)


def _fault(error: Exception, name: str) -> Fault:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return Fault(error.filename or name, error.lineno, error.message or "it can't be read")
    file, line = _place(error, name)
    return Fault(file, line, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.name}"
    if isinstance(error, MemoryError):
        return "it needs too much memory"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (str(error) or type(error).__name__)[:200]


def _place(error: Exception, name: str) -> tuple[str, int]:
    """Find the innermost template line in the traceback."""
    file, line, trace = name, 0, error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code.co_filename
        if code.endswith(".j2"):
            file, line = code, trace.tb_lineno
        trace = trace.tb_next
    return file, line


# -I and -S: no environment variable, no current folder, no start-up file decides what the child runs.
_BOOT = (
    "import json, sys; request = json.load(sys.stdin); sys.path += request['folders'];"
    "from thanksd.rendering import child; child(request['job'])"
)


def render_apart(job: Job) -> list[Note | Fault]:
    """Render in a child process with limits; one answer for each of the job's facts, or one fault for all.

    Raises TryLaterError where no process can be started.
    """
    request = json.dumps({"folders": _import_folders(), "job": job}).encode()
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _BOOT],
                input=request,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                timeout=WALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Fault(job["name"], 0, f"it took longer than {WALL_SECONDS} s")]
        except OSError as error:
            raise TryLaterError(f"No process could be started for a template: {error.strerror}.") from error
        output.seek(0)
        return _answers(job["name"], done.returncode, output.read(_REPLY_BYTES))


def _import_folders() -> list[str]:
    """Give the folders that hold thanksd, Jinja2 and MarkupSafe, and no other that this process may import from."""
    files = (__file__, jinja2.__file__, markupsafe.__file__)
    return sorted({str(Path(file).resolve().parent.parent) for file in files})


def _answers(name: str, code: int, reply: bytes) -> list[Note | Fault]:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return [Fault(name, 0, f"it took longer than {CPU_SECONDS} s of work")]
    try:
        found = json.loads(reply)
    except ValueError:
        return [Fault(name, 0, f"rendering it failed (exit {code}); it may need too much memory")]
    return [Note(*one["note"]) if "note" in one else Fault(*one["fault"]) for one in found]


def child(job: Job) -> None:
    """Render a job inside the child, and print the answers as JSON."""
    _limit()
    # JSON has no tuples with names.
    own, shipped = ([Folder(*one) for one in folders] for folders in (job["own"], job["shipped"]))
    sandbox = environment(own, shipped, job["language"])
    made = [render_here(sandbox, job["name"], facts, job["form"]) for facts in job["facts"]]
    json.dump([{"note" if isinstance(one, Note) else "fault": one} for one in made], sys.stdout)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_REPLY_BYTES, _REPLY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
