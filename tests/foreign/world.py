"""Where the server under test is and which two tenants the tests may use in it.

Either the file that `bailiwick dev --credentials-file` writes, or arguments, or
the environment. Deliberately absent: operator credentials. These tests are
tenants.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass

from wire import Target


@dataclass(frozen=True)
class Tenant:
    """A tenant of a server: its slug, a credential that may do everything in it, and one to throw away."""

    slug: str
    credential: str
    spare: str | None = None


@dataclass(frozen=True)
class World:
    """A server and two tenants of it. `is_reference` says that it is OpenBao itself, to check the test."""

    address: str
    own: Tenant
    other: Tenant
    is_reference: bool = False

    @property
    def home(self) -> str | None:
        """The namespace that must be named: none with us, where the credential says it; its own in OpenBao."""
        return self.own.slug if self.is_reference else None

    def target(self) -> Target:
        """The server, as the first tenant."""
        return Target(self.address, self.own.credential)


def add_world_arguments(parser: argparse.ArgumentParser, two_tenants: bool) -> None:
    """The ways to name a running Bailiwick and tenants of it."""

    def add(name: str, variable: str, text: str) -> None:
        parser.add_argument(name, default=os.environ.get(variable), help=f"{text} (default: ${variable})")

    parser.add_argument("--credentials-file", help="written by `bailiwick dev --credentials-file`; instead of the rest")
    parser.add_argument("--tenant", default="acme", help="the slug of the tenant to work in (default: acme)")
    add("--address", "BAILIWICK_ADDR", "the server")
    add("--credential", "BAILIWICK_CREDENTIAL", "an owner's credential of the tenant")
    if two_tenants:
        parser.add_argument("--other-tenant", default="globex", help="the slug of another tenant (default: globex)")
        add("--other-credential", "BAILIWICK_OTHER_CREDENTIAL", "an owner's credential of the other tenant")
    parser.add_argument("--self-check", action="store_true", help="run against OpenBao itself, to check the test")
    parser.add_argument("--verbose", action="store_true", help="print what holds, too")


def world_from(arguments: argparse.Namespace) -> World:
    """The server and tenants that the arguments name."""
    address, credential = arguments.address, arguments.credential
    other_slug = getattr(arguments, "other_tenant", "")
    other_credential = getattr(arguments, "other_credential", "")
    if arguments.credentials_file:
        with open(arguments.credentials_file, encoding="utf-8") as file:
            written = json.load(file)
        address = written["address"]
        tenants = written["tenants"]
        for slug in filter(None, [arguments.tenant, other_slug]):
            if slug not in tenants:
                raise SystemExit(f"{arguments.credentials_file} has no tenant `{slug}`")
        credential = tenants[arguments.tenant]["admin"]["credential"]
        other_credential = tenants[other_slug]["admin"]["credential"] if other_slug else ""
    if not address or not credential or other_credential is None:
        raise SystemExit("say where: --credentials-file, or --address with a credential of each tenant")
    return World(address, Tenant(arguments.tenant, credential), Tenant(other_slug, other_credential))


def spare_credential(world: World) -> str:
    """A credential to throw away: issued by our own API, to the caller itself."""
    if world.own.spare:
        return world.own.spare
    target = world.target()
    headers = {"Authorization": f"Bearer {world.own.credential}", "Content-Type": "application/json"}
    base = f"/api/v1/t/{world.own.slug}"
    who = target.send("GET", f"{base}/whoami", None, headers, None).json() or {}
    member = who.get("principal", {}).get("id", "")
    body = json.dumps({"description": "to be revoked by a test", "ttl": "1h"}).encode()
    issued = target.send("POST", f"{base}/members/{member}/credentials", body, headers, None)
    if issued.status != 201:
        raise SystemExit(f"no spare credential: {issued.status} {issued.body!r}")
    return issued.json()["credential"]
