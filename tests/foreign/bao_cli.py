#!/usr/bin/env python3
"""Drives the real `bao` command line against Bailiwick, as a tenant would.

    bao_cli.py --credentials-file dev.json
    bao_cli.py --self-check        # against OpenBao itself, to check the test

Every group of checks is a function; all of them work in one mount that the test
makes and removes.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import tempfile
from typing import Any

from reference import BaoDev, find_bao, reference_world
from wire import Tally
from world import World, add_world_arguments, spare_credential, world_from


class Outcome:
    """How one command ended."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    @property
    def data(self) -> Any:
        """What `-format=json` printed, or nothing."""
        try:
            return json.loads(self.out)
        except ValueError:
            return {}

    def __str__(self) -> str:
        return f"exit code {self.code}\nstdout: {self.out.strip()}\nstderr: {self.err.strip()}"


class Bao:
    """The command line, pointed at the server as one tenant, with nothing taken from the caller's environment."""

    def __init__(self, world: World, tally: Tally, mount: str, home: str):
        self.world, self.tally, self.mount, self._home = world, tally, mount, home
        self._binary = find_bao()

    def run(
        self, *words: str, stdin: str | None = None, token: str | None = "", namespace: str | None = ""
    ) -> Outcome:
        """Runs `bao WORDS`. An empty token or namespace means the world's own; `None` means none at all."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": self._home,
            "BAO_ADDR": self.world.address,
            "BAO_MAX_RETRIES": "0",
        }
        token = self.world.own.credential if token == "" else token
        namespace = self.world.home if namespace == "" else namespace
        if token:
            environment["BAO_TOKEN"] = token
        if namespace:
            environment["BAO_NAMESPACE"] = namespace
        done = subprocess.run(
            [self._binary, *words], input=stdin, env=environment, capture_output=True, text=True, timeout=60
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def works(self, name: str, *words: str, holds=lambda done: True, **how: Any) -> Outcome:
        """Records that a command succeeds, and that its outcome is as expected."""
        done = self.run(*words, **how)
        try:
            fits = done.code == 0 and bool(holds(done))
        except (KeyError, TypeError, AttributeError):
            fits = False  # the output lacks what the check looks at
        self.tally.check(name, fits, self._told(words, done))
        return done

    def fails(self, name: str, text: str, *words: str, **how: Any) -> Outcome:
        """Records that a command ends with code 2 and says `text`."""
        done = self.run(*words, **how)
        holds = done.code == 2 and text in done.err and not done.out.strip()
        self.tally.check(name, holds, f"want `{text}`\n{self._told(words, done)}")
        return done

    def _told(self, words: tuple[str, ...], done: Outcome) -> str:
        """A command and its outcome for people, without the credential."""
        return f"bao {' '.join(words)}\n{done}".replace(self.world.own.credential, "<credential>")


def version(done: Outcome) -> int | None:
    """The version that a write reports."""
    return done.data.get("data", {}).get("version")


def value(done: Outcome) -> Any:
    """The secret that a read reports."""
    return done.data.get("data", {}).get("data")


def about(done: Outcome) -> dict:
    """What a read reports about the version."""
    return done.data.get("data", {}).get("metadata", {})


def status(bao: Bao) -> None:
    bao.works("status, without a credential", "status", token=None, holds=lambda done: "Sealed" in done.out)
    bao.works("status, with one", "status", "-format=json", holds=lambda done: done.data["sealed"] is False)
    bao.works("init -status", "operator", "init", "-status", token=None, namespace=None)


def mounts(bao: Bao) -> None:
    m = bao.mount
    bao.works("secrets enable", "secrets", "enable", f"-path={m}", "kv-v2", holds=lambda done: f"at: {m}/" in done.out)
    bao.fails("secrets enable, again", "path is already in use", "secrets", "enable", f"-path={m}", "kv-v2")
    bao.fails("secrets enable, unknown engine", "plugin not found in the catalog", "secrets", "enable", "no-such-engine")
    bao.works("secrets list", "secrets", "list", holds=lambda done: f"{m}/" in done.out)
    bao.works("secrets list, detailed", "secrets", "list", "-detailed", holds=lambda done: "map[version:2]" in done.out)
    bao.works(
        "secrets list, as JSON", "secrets", "list", "-format=json",
        holds=lambda done: done.data[f"{m}/"]["options"] == {"version": "2"} and done.data[f"{m}/"]["type"] == "kv",
    )
    bao.works("secrets tune", "secrets", "tune", "-description=tuned", f"{m}/")
    bao.works("secrets tune is seen", "secrets", "list", holds=lambda done: "tuned" in done.out)
    bao.works("secrets enable, spelled out", "secrets", "enable", f"-path={m}-2", "-version=2", "kv")
    bao.works("kv enable-versioning, where it is on", "kv", "enable-versioning", f"{m}/")
    bao.fails("kv enable-versioning, no such mount", "no mount entry found", "kv", "enable-versioning", "no-such-mount/")
    bao.works("secrets disable", "secrets", "disable", f"{m}-2")
    bao.works("secrets disable, again", "secrets", "disable", f"{m}-2")


def put_and_get(bao: Bao) -> None:
    m = bao.mount
    bao.works(
        "kv put -mount", "kv", "put", "-format=json", f"-mount={m}", "app/db", "user=u", "password=p1",
        holds=lambda done: version(done) == 1,
    )
    bao.works("kv put, path form", "kv", "put", "-format=json", f"{m}/app/db", "password=p2",
              holds=lambda done: version(done) == 2)
    bao.works("kv put, as a table", "kv", "put", f"{m}/app/db", "password=p3", holds=lambda done: f"{m}/data/app/db" in done.out)
    bao.works("kv put -cas", "kv", "put", "-format=json", "-cas=3", f"{m}/app/db", "password=p4",
              holds=lambda done: version(done) == 4)
    bao.fails("kv put -cas, old", "check-and-set parameter did not match the current version",
              "kv", "put", "-cas=1", f"{m}/app/db", "password=p5")
    bao.works("kv put -cas=0 creates", "kv", "put", "-cas=0", f"{m}/app/new", "a=1")
    nested = {"n": 1.5, "list": [1, None, {"x": "ü"}], "empty": {}}
    bao.works("kv put from stdin", "kv", "put", f"{m}/nested", "-", stdin=json.dumps(nested))
    bao.works("kv get returns what was put", "kv", "get", "-format=json", f"{m}/nested",
              holds=lambda done: value(done) == nested)
    bao.works("kv get -mount", "kv", "get", "-format=json", f"-mount={m}", "app/db",
              holds=lambda done: value(done) == {"password": "p4"} and about(done)["version"] == 4)
    bao.works("kv get, as a table", "kv", "get", f"{m}/app/db", holds=lambda done: "password" in done.out and "p4" in done.out)
    bao.works("kv get -field", "kv", "get", "-field=password", f"{m}/app/db", holds=lambda done: done.out.strip() == "p4")
    bao.works("kv get -version", "kv", "get", "-format=json", "-version=1", f"{m}/app/db",
              holds=lambda done: value(done) == {"user": "u", "password": "p1"})
    bao.fails("kv get -version, not there", "No value found at", "kv", "get", "-version=99", f"{m}/app/db")
    bao.fails("kv get, not there", f"No value found at {m}/data/none", "kv", "get", f"{m}/none")
    bao.fails("kv get, no such mount", "preflight capability check returned 403", "kv", "get", "no-such-mount/x")
    bao.works("kv put, a path with spaces and letters", "kv", "put", f"{m}/ü b/ключ", "a=1")
    bao.works("kv get, a path with spaces and letters", "kv", "get", "-field=a", f"{m}/ü b/ключ",
              holds=lambda done: done.out.strip() == "1")


def lists(bao: Bao) -> None:
    m = bao.mount
    bao.works("kv list", "kv", "list", "-format=json", f"{m}/", holds=lambda done: done.data == ["app/", "nested", "ü b/"])
    bao.works("kv list -mount", "kv", "list", "-format=json", f"-mount={m}", "app",
              holds=lambda done: done.data == ["db", "new"])
    bao.fails("kv list, not there", "No value found at", "kv", "list", f"{m}/none")
    bao.works("list", "list", "-format=json", f"{m}/metadata/app", holds=lambda done: done.data == ["db", "new"])


def patch_and_rollback(bao: Bao) -> None:
    m = bao.mount
    bao.works("kv patch", "kv", "patch", "-format=json", f"{m}/app/db", "extra=1", holds=lambda done: version(done) == 5)
    bao.works("kv patch merged", "kv", "get", "-format=json", f"{m}/app/db",
              holds=lambda done: value(done) == {"password": "p4", "extra": "1"})
    bao.works("kv patch -method=rw", "kv", "patch", "-format=json", "-method=rw", f"{m}/app/db", "more=2",
              holds=lambda done: version(done) == 6)
    bao.works("kv patch -remove-data", "kv", "patch", "-remove-data=extra", f"{m}/app/db")
    bao.works("kv patch removed", "kv", "get", "-format=json", f"{m}/app/db",
              holds=lambda done: value(done) == {"password": "p4", "more": "2"})
    bao.fails("kv patch -cas, old", "check-and-set parameter did not match", "kv", "patch", "-cas=1", f"{m}/app/db", "a=1")
    bao.fails("kv patch, not there", "Code: 404", "kv", "patch", f"{m}/none", "a=1")
    bao.fails("kv patch -method=rw, not there", "No value found at", "kv", "patch", "-method=rw", f"{m}/none", "a=1")
    bao.works("kv rollback", "kv", "rollback", "-format=json", "-version=1", f"{m}/app/db",
              holds=lambda done: version(done) == 8)
    bao.works("kv rollback restored", "kv", "get", "-format=json", f"{m}/app/db",
              holds=lambda done: value(done) == {"user": "u", "password": "p1"})
    bao.fails("kv rollback, no such version", "No value found at", "kv", "rollback", "-version=99", f"{m}/app/db")


def delete_and_destroy(bao: Bao) -> None:
    m = bao.mount
    bao.works("kv delete", "kv", "delete", f"{m}/app/db", holds=lambda done: "Success!" in done.out)
    bao.works("kv get, deleted: no value, but when", "kv", "get", "-format=json", f"{m}/app/db",
              holds=lambda done: value(done) is None and about(done)["deletion_time"] and not about(done)["destroyed"])
    bao.fails("kv patch, deleted", "Code: 404", "kv", "patch", f"{m}/app/db", "a=1")
    bao.works("kv undelete", "kv", "undelete", "-versions=8", f"{m}/app/db")
    bao.works("kv get, undeleted", "kv", "get", "-field=password", f"{m}/app/db", holds=lambda done: done.out.strip() == "p1")
    bao.works("kv delete -versions", "kv", "delete", "-versions=1,2", f"{m}/app/db")
    bao.works("kv get, deleted version", "kv", "get", "-format=json", "-version=2", f"{m}/app/db",
              holds=lambda done: value(done) is None and about(done)["version"] == 2)
    bao.works("kv destroy", "kv", "destroy", "-versions=1", f"{m}/app/db")
    bao.works("kv undelete, destroyed", "kv", "undelete", "-versions=1,2", f"{m}/app/db")
    bao.works("kv get, destroyed stays destroyed", "kv", "get", "-format=json", "-version=1", f"{m}/app/db",
              holds=lambda done: value(done) is None and about(done)["destroyed"] is True)
    bao.works("kv get, undeleted next to it", "kv", "get", "-field=password", "-version=2", f"{m}/app/db",
              holds=lambda done: done.out.strip() == "p2")
    bao.works("kv delete, not there", "kv", "delete", f"{m}/none")


def metadata(bao: Bao) -> None:
    m = bao.mount

    def shows(name: str, path: str, holds) -> None:
        bao.works(name, "kv", "metadata", "get", "-format=json", path, holds=lambda done: holds(done.data["data"]))

    shows("kv metadata get", f"{m}/app/db", lambda data: data["current_version"] == 8 and data["versions"]["1"]["destroyed"])
    bao.works("kv metadata get, as a table", "kv", "metadata", "get", f"{m}/app/db",
              holds=lambda done: "Version 8" in done.out)
    bao.fails("kv metadata get, not there", "No value found at", "kv", "metadata", "get", f"{m}/none")
    bao.works("kv metadata put", "kv", "metadata", "put", "-max-versions=5", "-delete-version-after=1h",
              "-custom-metadata=team=red", "-custom-metadata=tier=1", f"{m}/app/meta")
    shows("kv metadata put is seen", f"{m}/app/meta", lambda data: data["max_versions"] == 5
          and data["delete_version_after"] == "1h0m0s" and data["custom_metadata"] == {"team": "red", "tier": "1"})
    bao.works("kv metadata patch", "kv", "metadata", "patch", "-custom-metadata=team=blue", f"{m}/app/meta")
    bao.works("kv metadata patch, remove", "kv", "metadata", "patch", "-remove-custom-metadata=tier", f"{m}/app/meta")
    shows("kv metadata patch is seen", f"{m}/app/meta", lambda data: data["custom_metadata"] == {"team": "blue"})
    bao.fails("kv metadata patch, not there", "Code: 404", "kv", "metadata", "patch", "-max-versions=3", f"{m}/none")
    bao.works("kv metadata put -cas-required", "kv", "metadata", "put", "-cas-required=true", f"{m}/app/meta")
    bao.fails("kv put without -cas", "check-and-set parameter required for this call", "kv", "put", f"{m}/app/meta", "a=1")
    bao.works("kv put with -cas", "kv", "put", "-format=json", "-cas=0", f"{m}/app/meta", "a=1",
              holds=lambda done: version(done) == 1 and done.data["data"]["deletion_time"])
    bao.works("kv metadata put prunes", "kv", "metadata", "put", "-max-versions=2", f"{m}/app/db")
    bao.works("a write prunes", "kv", "put", f"{m}/app/db", "a=1")
    shows("the last two are kept", f"{m}/app/db", lambda data: sorted(data["versions"]) == ["8", "9"])
    bao.works("kv metadata delete", "kv", "metadata", "delete", f"{m}/app/db")
    bao.fails("kv get, gone for good", "No value found at", "kv", "get", f"{m}/app/db")
    bao.works("kv metadata delete, not there", "kv", "metadata", "delete", f"{m}/none")


def plain_verbs(bao: Bao) -> None:
    m = bao.mount
    bao.works("write", "write", f"{m}/config", "max_versions=7")
    bao.works("read", "read", "-field=max_versions", f"{m}/config", holds=lambda done: done.out.strip() == "7")
    bao.works("write from stdin", "write", "-format=json", f"{m}/data/w", "-", stdin='{"data":{"a":1}}',
              holds=lambda done: version(done) == 1)
    bao.works("read a secret", "read", "-format=json", f"{m}/data/w", holds=lambda done: value(done) == {"a": 1})
    bao.works("read its keys", "read", "-format=json", f"{m}/subkeys/w",
              holds=lambda done: done.data["data"]["subkeys"] == {"a": None})
    bao.works("delete", "delete", f"{m}/metadata/w")
    bao.fails("read, not there", "No value found at", "read", f"{m}/data/w")
    bao.fails("write, wrong type", "error converting input for field", "write", f"{m}/data/w", "data=x")
    bao.fails("write, no such path", "", "write", f"{m}/no-such-route/w", "a=1")


def tokens(bao: Bao) -> None:
    world = bao.world
    bao.works("token lookup", "token", "lookup", "-format=json",
              holds=lambda done: done.data["data"]["id"] == world.own.credential and done.data["data"]["ttl"] >= 0)
    bao.fails("token lookup, unknown", "permission denied", "token", "lookup", token="s.xxxxxxxxxxxxxxxxxxxxxxxx")
    bao.fails("kv get, unknown token", "permission denied", "kv", "get", f"{bao.mount}/nested", token="nonsense")
    bao.works("login -method=token", "login", "-no-store", "-format=json", "-method=token", f"token={world.own.credential}",
              token=None, holds=lambda done: done.data["auth"]["client_token"] == world.own.credential)
    bao.fails("login, unknown", "permission denied", "login", "-no-store", "-method=token", "token=nonsense", token=None)
    bao.works("token capabilities", "token", "capabilities", f"{bao.mount}/data/x",
              holds=lambda done: done.out.strip() not in ("", "deny"))
    spare = spare_credential(world)
    bao.works("a second credential works", "kv", "get", f"{bao.mount}/nested", token=spare)
    bao.works("token revoke -self", "token", "revoke", "-self", token=spare)
    bao.fails("a revoked credential is refused", "permission denied", "kv", "get", f"{bao.mount}/nested", token=spare)
    bao.fails("a revoked credential cannot look itself up", "permission denied", "token", "lookup", token=spare)
    bao.works("the first one still works", "kv", "get", f"{bao.mount}/nested")
    if not world.is_reference:
        bao.fails("token renew", "lease is not renewable", "token", "renew")
        bao.fails("wrapping is refused", "wrapping", "kv", "get", "-wrap-ttl=60s", f"{bao.mount}/nested")


def namespaces(bao: Bao) -> None:
    m, own, other = bao.mount, bao.world.own.slug, bao.world.other.slug
    for name in [own, f"{own}/", f"/{own}"]:
        bao.works(f"own namespace as `{name}`", "kv", "get", f"{m}/nested", namespace=name)
    bao.works("own namespace as a flag", "kv", "get", f"-namespace={own}", f"{m}/nested", namespace=None)
    bao.works("own namespace in the path", "kv", "get", f"{own}/{m}/nested", namespace=None)
    bao.works("own namespace in the path of the mount", "kv", "put", f"-mount={own}/{m}", "by-path", "a=1", namespace=None)
    bao.works("what was written there is here", "kv", "get", f"{m}/by-path")
    bao.works("status, whatever the namespace", "status", namespace="no-such-tenant")
    refused = {}
    for name in [other, f"{other}-2"]:
        words = ("kv", "put", f"{m}/nested", "canary=1")
        if not bao.world.is_reference:  # OpenBao says which namespaces exist
            done = bao.fails(f"namespace `{name}`", "Code: 403", *words, namespace=name)
            sent = done.err.count("URL: ")
            bao.tally.check(f"namespace `{name}`: no secret was sent", sent == 1 and "URL: GET" in done.err, str(done))
            refused[name] = done.err.replace(name, "NAME")
            bao.fails(f"namespace `{name}` in the path", "", "kv", "put", f"{name}/{m}/nested", "canary=1")
            bao.fails(f"mounts of namespace `{name}`", "Code: 403", "secrets", "list", namespace=name)
        else:
            bao.fails(f"namespace `{name}`", "Code: 40", *words, namespace=name)
    bao.tally.check("a foreign tenant and a missing one are refused alike", len(set(refused.values())) <= 1, repr(refused))
    bao.works("nothing was written", "kv", "get", "-format=json", f"{m}/nested", holds=lambda done: "canary" not in value(done))
    listed = bao.run("namespace", "list")
    bao.tally.check("namespace list names nobody else", other not in listed.out + listed.err, str(listed))


def unmount(bao: Bao) -> None:
    bao.works("secrets disable, with secrets in it", "secrets", "disable", bao.mount)
    bao.fails("kv get, unmounted", "preflight capability check returned 403", "kv", "get", f"{bao.mount}/nested")


GROUPS = [
    status, mounts, put_and_get, lists, patch_and_rollback, delete_and_destroy, metadata, plain_verbs, tokens,
    namespaces, unmount,
]


def check(world: World, tally: Tally) -> None:
    """Runs every group against one server."""
    with tempfile.TemporaryDirectory(prefix="bao-cli-") as home:
        bao = Bao(world, tally, f"cli-{secrets.token_hex(4)}", home)
        for group in GROUPS:
            group(bao)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_world_arguments(parser, two_tenants=True)
    arguments = parser.parse_args()
    tally = Tally(arguments.verbose)
    if arguments.self_check:
        with BaoDev() as server:
            check(reference_world(server), tally)
    else:
        check(world_from(arguments), tally)
    tally.finish()


if __name__ == "__main__":
    main()
