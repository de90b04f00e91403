"""Shared parts of the foreign-client tests: raw HTTP and a tally.

Requests are written byte by byte onto a socket on purpose. Every HTTP library
normalises something (`..`, `%2e`, `//`, a NUL, duplicate headers), and exactly
those inputs are what the differential test sends.

Deliberately absent: retries. A request that fails is a finding, and a retry
would hide it.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Reply:
    """What came back: status, headers in order, raw body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, compared without case."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def json(self):
        """The body as JSON, or `None` when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Target:
    """A server under test: where it listens and the credential to send."""

    address: str
    credential: str
    namespace: str | None = None
    ca_file: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def connect(self) -> socket.socket:
        """Opens one connection, with TLS when the address says so."""
        url = urlsplit(self.address)
        port = url.port or (443 if url.scheme == "https" else 80)
        sock = socket.create_connection((url.hostname, port), timeout=30)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            sock = context.wrap_socket(sock, server_hostname=url.hostname)
        return sock

    def send(
        self,
        method: str,
        path: str | bytes,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = "",
    ) -> Reply:
        """Sends one request exactly as written.

        `token=""` sends this target's credential, `None` sends none, anything
        else is sent as it stands. `path` goes onto the wire unescaped.
        """
        url = urlsplit(self.address)
        sent = {"Host": url.netloc, "Connection": "close", "X-Vault-Request": "true"}
        if token == "":
            sent["X-Vault-Token"] = self.credential
        elif token is not None:
            sent["X-Vault-Token"] = token
        if self.namespace:
            sent["X-Vault-Namespace"] = self.namespace
        sent.update(self.headers)
        sent.update(headers or {})
        if body is not None:
            sent.setdefault("Content-Length", str(len(body)))
        raw_path = path if isinstance(path, bytes) else path.encode("utf-8")
        head = method.encode("ascii") + b" " + raw_path + b" HTTP/1.1\r\n"
        for key, value in sent.items():
            if value is not None:
                head += f"{key}: {value}\r\n".encode("utf-8")
        with self.connect() as sock:
            try:
                sock.sendall(head + b"\r\n" + (body or b""))
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused early: the answer may already be on its way
            return read_reply(sock, method)


class _Stream:
    """Lets `http.client` parse a reply that it did not request."""

    def __init__(self, data: bytes):
        self._data = data

    def makefile(self, *_args, **_kwargs):
        return io.BytesIO(self._data)


def read_reply(sock: socket.socket, method: str) -> Reply:
    """Reads until the peer closes, then parses."""
    chunks = []
    try:
        while chunk := sock.recv(65536):
            chunks.append(chunk)
    except (ConnectionResetError, ssl.SSLError):
        pass
    data = b"".join(chunks)
    if not data:
        return Reply(0, [], b"")  # closed without an answer
    parsed = http.client.HTTPResponse(_Stream(data), method=method)
    parsed.begin()
    return Reply(parsed.status, parsed.getheaders(), parsed.read())


class Tally:
    """Counts checks, prints the failing ones, ends with `N passed, M failed`."""

    def __init__(self, verbose: bool = False):
        self.passed = 0
        self.failed = 0
        self._verbose = verbose

    def check(self, name: str, holds: bool, detail: str = "") -> bool:
        """Records one check; `detail` is shown when it does not hold."""
        if holds:
            self.passed += 1
            if self._verbose:
                print(f"ok    {name}")
        else:
            self.failed += 1
            print(f"FAIL  {name}")
            for line in detail.splitlines():
                print(f"      {line}")
        return holds

    def equal(self, name: str, got, want) -> bool:
        """Records that two values are the same."""
        return self.check(name, got == want, f"want {want!r}\ngot  {got!r}")

    def finish(self) -> None:
        """Prints the last line and ends the process accordingly."""
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
