"""Runs the scenarios with the JavaScript client: in Node, and in a headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

from gateway.demo.sample import Address
from gateway.service.addresses import format_address

FOLDER = Path(__file__).parent
TIMEOUT_S = 120.0
_STOP_S = 10.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class MissingToolError(Exception):
    """What a client needs is not installed; the text says what."""


class ClientFailedError(Exception):
    """A client did not come to an end; the text has its last words."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scenario; no problem means that it holds."""

    name: str
    note: str
    problem: str


def find_tool(*names: str) -> str:
    """The first of these programs that is installed; raises `MissingToolError`."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise MissingToolError(f"{names[0]} is not installed")


def are_packages_installed() -> bool:
    """Whether `npm ci` has been run here."""
    return (FOLDER / "node_modules" / "@stomp" / "stompjs").is_dir()


def install_packages() -> None:
    """Run `npm ci`, once; raises `MissingToolError`."""
    find_tool("node")
    npm = find_tool("npm")
    if not are_packages_installed():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)


def run_in_node(address: Address, compressed: bool) -> Sequence[Result]:
    """Run every scenario in Node; raises `MissingToolError` or `ClientFailedError`."""
    command = [find_tool("node"), "node.mjs", _url(address), _extension(compressed)]
    run = subprocess.run(
        command, cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if run.returncode:
        raise ClientFailedError(f"node ended with {run.returncode}: {run.stderr}")
    return _parse_results(run.stdout)


def run_in_browser(address: Address, compressed: bool) -> Sequence[Result]:
    """Run every scenario in Chromium; raises `MissingToolError` or `ClientFailedError`."""
    browser = find_tool(*_BROWSERS)
    # The browser's own processes may still write there when it has ended already.
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with _page_server() as (port, results), folder as profile:
        page = f"http://127.0.0.1:{port}/page.html?url={_url(address)}"
        page += f"&extension={_extension(compressed)}"
        process = subprocess.Popen(
            [browser, *_BROWSER_OPTIONS, f"--user-data-dir={profile}", page],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return _parse_results(results.get(timeout=TIMEOUT_S))
        except Empty:
            raise ClientFailedError("the page in the browser sent no results") from None
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(address: Address) -> str:
    return f"ws://{format_address(*address)}/ws"


def _extension(compressed: bool) -> str:
    """What the client expects the broker to agree to."""
    return "permessage-deflate" if compressed else ""


def _parse_results(text: str) -> Sequence[Result]:
    return [Result(**result) for result in json.loads(text)]


@contextmanager
def _page_server() -> Iterator[tuple[int, SimpleQueue[str]]]:
    """Serves this folder on loopback, and takes what the page posts."""
    results: SimpleQueue[str] = SimpleQueue()

    class Pages(SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            results.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    def make(*arguments: object) -> Pages:
        return Pages(*arguments, directory=str(FOLDER))  # type: ignore[arg-type]

    with ThreadingHTTPServer(("127.0.0.1", 0), make) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], results
        finally:
            server.shutdown()
            thread.join()
