"""Stands in for the `vault` binary that hvac's test harness starts, and starts Bailiwick instead.

The harness knows two commands, `vault -version` and `vault server -config=FILE`,
and kills the process that it started. So this one turns itself into the server
(`exec`): the process that the harness kills is the server. It translates the
configuration (address, certificate, key) and sends the server's output to a
file, since the harness never reads the pipes that it opens.

From the environment: `BAILIWICK_BIN` (the server), `VAULT_SHIM_STATE` (a directory
for data, configuration, logs and process ids), `VAULT_SHIM_REFERENCE` (a real
`bao` to start instead, to check this harness).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

VERSION = "2.7.2"
"""What hvac's tests take as the server's version: the OpenBao whose KV v2 API we follow."""


def main(words: list[str]) -> int:
    """Does what the harness asks for."""
    if words in (["-version"], ["--version"], ["version"]):
        print(f"Bailiwick v{VERSION}")
        return 0
    if len(words) == 2 and words[0] == "server" and words[1].startswith("-config="):
        return serve(words[1].removeprefix("-config="))
    print(f"vault shim: not something that the KV v2 tests need: {words}", file=sys.stderr)
    return 2


def serve(config_file: str) -> int:
    """Becomes the server; returns only if it cannot."""
    directory = tempfile.mkdtemp(prefix="server-", dir=os.environ["VAULT_SHIM_STATE"])
    reference = os.environ.get("VAULT_SHIM_REFERENCE")
    if reference:
        command = [reference, "server", f"-config={config_file}"]
    else:
        translated = os.path.join(directory, "bailiwick.toml")
        with open(translated, "w", encoding="utf-8") as file:
            file.write(translate(config_file, os.path.join(directory, "data")))
        command = [os.environ["BAILIWICK_BIN"], "serve", "--config", translated]
    with open(os.path.join(directory, "pid"), "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    log = os.open(os.path.join(directory, "server.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        os.execv(command[0], command)
    except OSError as trouble:
        print(f"vault shim: {command[0]}: {trouble}", file=sys.stderr)
        return 1


def translate(config_file: str, data: str) -> str:
    """The harness' configuration as ours. JSON strings are TOML strings, too."""
    listener = read(config_file)["listener"]
    if isinstance(listener, list):
        (listener,) = listener
    tcp = listener["tcp"]
    certificate, key = (os.path.abspath(tcp[name]) for name in ("tls_cert_file", "tls_key_file"))
    return "\n".join(
        [
            f"listen = {json.dumps(tcp['address'])}",
            f"data = {json.dumps(data)}",
            "[tls]",
            f"cert = {json.dumps(certificate)}",
            f"key = {json.dumps(key)}",
            "[vault]",
            'init_tenant = "main"',
            "",
        ]
    )


def read(config_file: str) -> dict:
    """HCL or JSON, as the harness writes it."""
    with open(config_file, encoding="utf-8") as file:
        text = file.read()
    try:
        return json.loads(text)
    except ValueError:
        import hcl  # the harness needs it itself

        return hcl.loads(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
