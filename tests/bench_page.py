"""The review page's bench: what a page costs, beside a page of the same size with no store behind it."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_rigs import PROGRAM, PYTHON, Place, cpu_of, verdict

_PAGES = 200
_ROUNDS = 5
_BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
text = sys.stdin.read()
async def page(request):
    return HTMLResponse(text)
uvicorn.run(Starlette(routes=[Route("/", page)]), port=int(sys.argv[1]), log_level="critical", access_log=False)
"""


def page(folder: Path) -> None:
    """The list of twenty and a review, each beside a bare page; the size of all it takes; from the press to the page."""
    place = Place(folder / "page")
    place.fill(1000, 20)
    with place.daemon() as pid:
        port, cookie, seconds = _come_in(place)
        print(
            f"{'page: s from a first press to the page':<58} {seconds:5.2f}   limit 1.00   {verdict(is_met=seconds <= 1)}"
        )
        for name, path in (("list", "/"), ("review", "/thanks/990")):
            _beside_bare(name, path, pid, port, cookie)
        _weigh(port, cookie)


def _come_in(place: Place) -> tuple[int, str, float]:
    """Come in by a link, as a pressed button does, and give port, cookie, and the seconds until the page was there."""
    words = [str(PROGRAM), "page", "990", "--print", "--json"]
    url = json.loads(subprocess.run(words, env=place.environ, check=True, capture_output=True).stdout)["url"]
    port = int(url.split(":")[2].split("/")[0])
    began = time.monotonic()
    answer, headers = _get(port, "/" + url.split("/", 3)[3], "")
    cookie = headers["set-cookie"].partition(";")[0]
    answer, _ = _get(port, "/thanks/990", cookie)
    assert b"textarea" in answer
    return port, cookie, time.monotonic() - began


def _get(port: int, path: str, cookie: str) -> tuple[bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    return answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def _beside_bare(name: str, path: str, pid: int, port: int, cookie: str) -> None:
    text, _ = _get(port, path, cookie)
    with _bare(text) as (other_pid, other_port):
        pairs = [(_cost(pid, port, path, cookie), _cost(other_pid, other_port, "/", "")) for _ in range(_ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    words = f"page: {name} / a bare Starlette page of its size"
    print(f"{words:<58} {ours / theirs:5.2f}   limit 5.00   {verdict(is_met=ours <= 5 * theirs)}")
    print(f"    {ours * 1000:.2f} and {theirs * 1000:.2f} ms CPU a page", flush=True)


def _cost(pid: int, port: int, path: str, cookie: str) -> float:
    """Give the CPU seconds of one page, on a connection that stays, as a browser's does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    before = cpu_of(pid)
    for _ in range(_PAGES):
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    return (cpu_of(pid) - before) / _PAGES


@contextmanager
def _bare(text: bytes) -> Iterator[tuple[int, int]]:
    with subprocess.Popen([PYTHON, "-c", "import socket; s=socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"],
                          stdout=subprocess.PIPE) as asked:  # fmt: skip
        port = int(asked.communicate()[0])
    with subprocess.Popen([PYTHON, "-c", _BARE, str(port)], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(text)
        child.stdin.close()
        try:
            _until_it_answers(port)
            yield child.pid, port
        finally:
            child.terminate()


def _until_it_answers(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            _get(port, "/", "")
        except OSError:
            time.sleep(0.05)
        else:
            return


def _weigh(port: int, cookie: str) -> None:
    """Print the weight of a review with all that its browser asks for."""
    paths = ("/thanks/990", "/static/page.css", "/static/page.js", "/static/icon.svg")
    weight = sum(len(_get(port, path, cookie)[0]) for path in paths) / 1000
    print(
        f"{'page: kB of a review, all told':<58} {weight:5.1f}   limit 60.0   {verdict(is_met=weight <= 60)}",
        flush=True,
    )
