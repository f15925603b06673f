"""/metrics, /live and /ready over HTTP, from a thread of its own. No patient data, and no password."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from pipeline.errors import UsageError
from worker.health import Answer

PATIENCE_SECONDS = 10.0  # for a client that connects and says nothing

Page = Callable[[], tuple[HTTPStatus, str, bytes]]  # status, content type, body


@contextmanager
def health_served(
    port: int, registry: CollectorRegistry, *, live: Callable[[], Answer], ready: Callable[[], Answer]
) -> Iterator[int]:
    """Serve while the block runs; gives the port, 0 when none is wanted.

    Raises:
        UsageError: The port cannot be had.
    """
    if not port:
        yield 0
        return
    server = _open(port, {"/metrics": _metrics(registry), "/live": _answer(live), "/ready": _answer(ready)})
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, pages: Mapping[str, Page]) -> None:
        self.pages = pages
        super().__init__(("", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is nobody's business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:  # the library's name
        """Answer one of the pages."""
        page = self.server.pages.get(self.path.partition("?")[0], _absent)
        status, kind, body = page()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Probes come every few seconds: the log is for the work."""


def _open(port: int, pages: Mapping[str, Page]) -> _Server:
    try:
        return _Server(port, pages)
    except OSError as error:
        raise UsageError(
            f"NIGHTREAD_METRICS_PORT={port} cannot be served ({(error.strerror or str(error)).lower()}); "
            "set it to a free port, or to 0 for none"
        ) from error


def _metrics(registry: CollectorRegistry) -> Page:
    return lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))


def _answer(ask: Callable[[], Answer]) -> Page:
    def page() -> tuple[HTTPStatus, str, bytes]:
        answer = ask()
        status = HTTPStatus.OK if answer.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return status, "application/json", json.dumps(answer.body).encode() + b"\n"

    return page


def _absent() -> tuple[HTTPStatus, str, bytes]:
    return HTTPStatus.NOT_FOUND, "text/plain", b"Ask for /metrics, /live or /ready.\n"
