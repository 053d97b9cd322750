"""A phone's push service on loopback: what Apprise posts to it, and the answers that a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "tk-9f3b-secret"


class Phone:
    """What came, as {"title", "message", ...}. Below /bad it is refused."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.port = 0

    @property
    def address(self) -> str:
        """Its address in Apprise's form, which holds a token in each place where one can be."""
        return f"json://{TOKEN}:{TOKEN}@127.0.0.1:{self.port}/{TOKEN}/?+X-Token={TOKEN}"

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]) for one in self.came]


@contextmanager
def phone() -> Iterator[Phone]:
    """Run a push service until the block ends."""
    it = Phone()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_bad = "/bad" in self.path
            if not is_bad:
                it.came.append(body)
            self.send_response(503 if is_bad else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield it
        finally:
            server.shutdown()
            thread.join(20)
