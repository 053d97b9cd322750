"""A child process that does one thing for a channel: a library it needs is not kept, and one that hangs is ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from thanksd.errors import UnavailableError

# Seconds that a child has to end what it started itself.
_LEAVING = 2.0


async def ask(module: str, request: Mapping[str, Any], seconds: float, environ: Mapping[str, str]) -> dict[str, Any]:
    """Run `python -m module`, give it the request as JSON on its standard input, and give the JSON that it prints.

    After `seconds` it is ended with all that it started: asked to, so that it can end what it started in sessions of
    their own, and then made to. Raises UnavailableError where no answer came.
    """
    try:
        # -P: nothing that lies in the current folder may pose as one of our modules.
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"Its helper can't be started: {error.strerror}.") from error
    try:
        async with asyncio.timeout(seconds):
            output, _ = await child.communicate(json.dumps(request).encode())
    except TimeoutError:
        raise UnavailableError(f"There was no answer within {seconds:g} seconds.") from None
    finally:
        await _end(child)
    return _read(output, child.returncode)


async def _end(child: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Of one that ended by itself, the number may be another's by now.
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), _LEAVING)


def _read(output: bytes, code: int | None) -> dict[str, Any]:
    try:
        found = json.loads(output)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # What can't be read is not quoted: it may hold a secret.
        raise UnavailableError(f"Its helper ended with status {code}.")
    return found


def serve(act: Any, seconds: float) -> None:  # noqa: ANN401  a function from one JSON object to another
    """Be such a child: read the request, and print what `act` makes of it; threads that it left are not waited for.

    After `seconds` it raises TimeoutError where `act` is: a daemon that was killed ends no child any more.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not spoil the answer
    signal.signal(signal.SIGALRM, _late)
    signal.signal(signal.SIGTERM, _leave)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    answers.write(json.dumps(act(json.loads(sys.stdin.buffer.read()))))
    answers.flush()
    os._exit(0)


def _late(_number: int, _frame: object) -> None:
    raise TimeoutError("There was no answer in time.")


def _leave(_number: int, _frame: object) -> None:
    # As an exception: on its way out what was started is ended too (credentials, subprocess).
    raise SystemExit(1)
