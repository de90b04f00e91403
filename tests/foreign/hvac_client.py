#!/usr/bin/env python3
"""Two tenants, each with an `hvac.Client`, work in mounts and paths of the same names.

    hvac_client.py --credentials-file dev.json
    hvac_client.py --self-check        # against OpenBao itself, to check the test

Small on purpose: hvac's own tests (`hvac/run.py`) cover KV v2. Here the question
is whether what one tenant does shows at the other. Everything runs twice, with
the tenants swapped.
"""

from __future__ import annotations

import argparse
import secrets
import warnings
from typing import Any, Callable

from reference import BaoDev, reference_world
from wire import Tally
from world import Tenant, World, add_world_arguments, world_from

try:
    import hvac
    from hvac import exceptions
except ImportError as missing:
    raise SystemExit("`hvac` is not installed: pip install hvac") from missing

warnings.simplefilter("ignore", DeprecationWarning)


def client(world: World, tenant: Tenant, namespace: str | None = None) -> hvac.Client:
    """A client of one tenant; without a namespace where the credential says which."""
    if namespace is None and world.is_reference:
        namespace = tenant.slug
    return hvac.Client(url=world.address, token=tenant.credential, namespace=namespace)


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The kind and text of the refusal that a call ends with."""
    try:
        return "answered", repr(call())
    except exceptions.VaultError as refused:
        return type(refused).__name__, str(refused.errors)


def tenants(world: World, mine: Tenant, theirs: Tenant, tally: Tally) -> None:
    """What `mine` can do, and what of it `theirs` can see."""
    mount = f"hvac-{secrets.token_hex(4)}"
    here, there = client(world, mine), client(world, theirs)
    name = f"{mine.slug} next to {theirs.slug}"

    def same(what: str, got: Any, want: Any) -> None:
        tally.equal(f"{name}: {what}", got, want)

    same("is authenticated", here.is_authenticated(), True)
    anonymous = hvac.Client(url=world.address)
    same("is initialized", anonymous.sys.is_initialized(), True)
    same("is not sealed", anonymous.sys.is_sealed(), False)
    for side in (here, there):
        side.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    same("mounts", here.sys.list_mounted_secrets_engines()["data"][f"{mount}/"]["options"], {"version": "2"})

    mine_kv, theirs_kv = here.secrets.kv.v2, there.secrets.kv.v2
    where = {"path": "app/db", "mount_point": mount}

    def read(kv: Any, **more: Any) -> Any:
        return kv.read_secret_version(**where, raise_on_deleted_version=False, **more)["data"]

    for number in (1, 2, 3):
        mine_kv.create_or_update_secret(**where, secret={"owner": mine.slug, "n": number})
    same("the other tenant has no such secret", refusal(lambda: read(theirs_kv))[0], "InvalidPath")
    theirs_kv.create_or_update_secret(**where, secret={"owner": theirs.slug})
    same("own secret", read(mine_kv)["data"], {"owner": mine.slug, "n": 3})
    same("own version", read(mine_kv)["metadata"]["version"], 3)
    same("the other's secret", read(theirs_kv)["data"], {"owner": theirs.slug})
    same("the other's version", read(theirs_kv)["metadata"]["version"], 1)
    same("an old version", read(mine_kv, version=1)["data"]["n"], 1)

    stale = refusal(lambda: mine_kv.create_or_update_secret(**where, secret={}, cas=1))
    same("check-and-set", stale, ("InvalidRequest", "['check-and-set parameter did not match the current version']"))
    mine_kv.patch(**where, secret={"more": True})
    same("patch", read(mine_kv)["data"], {"owner": mine.slug, "n": 3, "more": True})
    mine_kv.create_or_update_secret(path="app/only-mine", secret={"a": 1}, mount_point=mount)
    same("list", mine_kv.list_secrets("app", mount)["data"]["keys"], ["db", "only-mine"])
    same("the other's list", theirs_kv.list_secrets("app", mount)["data"]["keys"], ["db"])

    mine_kv.update_metadata(**where, max_versions=9, custom_metadata={"team": mine.slug})
    same("metadata", mine_kv.read_secret_metadata(**where)["data"]["custom_metadata"], {"team": mine.slug})
    same("the other's metadata", theirs_kv.read_secret_metadata(**where)["data"]["custom_metadata"], None)
    mine_kv.configure(max_versions=7, mount_point=mount)
    same("configuration", mine_kv.read_configuration(mount)["data"]["max_versions"], 7)
    same("the other's configuration", theirs_kv.read_configuration(mount)["data"]["max_versions"], 0)

    mine_kv.delete_latest_version_of_secret(**where)
    same("deleted", read(mine_kv)["data"], None)
    same("the other's is not deleted", read(theirs_kv)["data"], {"owner": theirs.slug})
    mine_kv.undelete_secret_versions(**where, versions=[4])
    same("undeleted", read(mine_kv)["metadata"]["version"], 4)
    mine_kv.destroy_secret_versions(**where, versions=[1])
    same("destroyed", mine_kv.read_secret_metadata(**where)["data"]["versions"]["1"]["destroyed"], True)
    same("the other's is not destroyed", theirs_kv.read_secret_metadata(**where)["data"]["versions"]["1"]["destroyed"], False)

    for namespace in (mine.slug, f"{mine.slug}/"):
        named = client(world, mine, namespace).secrets.kv.v2
        same(f"own namespace as `{namespace}`", read(named)["metadata"]["version"], 4)
    borders(world, mine, theirs, where, tally)

    mine_kv.delete_metadata_and_all_versions(**where)
    same("gone", refusal(lambda: read(mine_kv))[0], "InvalidPath")
    same("the other's is there", read(theirs_kv)["data"], {"owner": theirs.slug})
    here.sys.disable_secrets_engine(mount)
    same("unmounted", f"{mount}/" in here.sys.list_mounted_secrets_engines()["data"], False)
    same("the other's is mounted", read(theirs_kv)["data"], {"owner": theirs.slug})
    there.sys.disable_secrets_engine(mount)


def borders(world: World, mine: Tenant, theirs: Tenant, where: dict[str, str], tally: Tally) -> None:
    """What `mine` gets when it names a namespace that is not its own, by header and by path."""
    by_header: dict[str, set[tuple[str, str]]] = {}
    by_path: dict[str, set[tuple[str, str]]] = {}
    missing = f"{theirs.slug}-2"
    for slug in (theirs.slug, missing):
        stranger = client(world, mine, slug).secrets.kv.v2
        for kind, call in {
            "read": lambda kv: kv.read_secret_version(**where),
            "write": lambda kv: kv.create_or_update_secret(**where, secret={"canary": 1}),
            "list": lambda kv: kv.list_secrets("app", where["mount_point"]),
        }.items():
            got = refusal(lambda: call(stranger))
            by_header.setdefault(kind, set()).add((got[0], got[1].replace(slug, "NAME")))
        plain = client(world, mine).secrets.kv.v2
        got = refusal(lambda: plain.read_secret_version(where["path"], mount_point=f"{slug}/{where['mount_point']}"))
        by_path.setdefault("read", set()).add((got[0], got[1].replace(slug, "NAME")))
    for kind, refusals in by_header.items():
        kinds = {first for first, _ in refusals}
        allowed = {"Forbidden", "InvalidPath"} if world.is_reference else {"Forbidden"}  # OpenBao says which exist
        tally.check(f"{mine.slug}: {kind} in another namespace is refused", kinds <= allowed, repr(refusals))
        if not world.is_reference:
            tally.check(f"{mine.slug}: {kind}: foreign and missing are alike", len(refusals) == 1, repr(refusals))
    kinds = {first for first, _ in by_path["read"]}
    tally.check(f"{mine.slug}: a namespace in the path is refused", kinds <= {"Forbidden", "InvalidPath"}, repr(by_path))
    tally.check(f"{mine.slug}: in the path: foreign and missing are alike", len(by_path["read"]) == 1, repr(by_path))


def check(world: World, tally: Tally) -> None:
    """Both ways round."""
    tenants(world, world.own, world.other, tally)
    tenants(world, world.other, world.own, tally)


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
