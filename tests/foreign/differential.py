#!/usr/bin/env python3
"""Sends the same KV v2 requests to a real OpenBao and to Bailiwick and compares the answers.

    differential.py --credentials-file dev.json --tenant acme
    differential.py --address http://127.0.0.1:8200 --credential bwk_…
    differential.py --self-check        # a second `bao` instead of Bailiwick: must be clean

Compared are the status, the media type, `Cache-Control`, and the body as JSON
with its keys, types, values and error texts, after volatile fields (ids,
times) are replaced. A difference passes only if `differential_accepted.py`
names it with a reason; an accepted difference that is none any more fails.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
from typing import Any

import differential_doors
import differential_secrets
from differential_accepted import ACCEPTED, NOT_OFFERED, Accepted
from differential_case import Case
from reference import BaoDev
from wire import Reply, Tally, Target
from world import add_world_arguments, world_from

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
VOLATILE = {"request_id", "accessor", "uuid", "cluster_id", "cluster_name", "migration_id", "nonce"}
JSON_TROUBLE = re.compile(r"(failed to decode JSON input: ).*", re.S)
FIELD_TROUBLE = re.compile(r'^(?:Field validation failed: )?(error converting input for field "[^"]*").*', re.S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_world_arguments(parser, two_tenants=False)
    parser.add_argument("--only", default="", help="print, and judge, only cases whose name contains this")
    arguments = parser.parse_args()
    tally = Tally(arguments.verbose)
    with BaoDev() as reference:
        if arguments.self_check:
            with BaoDev() as second:
                compare_all(reference, second, {}, arguments.only, tally)
        else:
            compare_all(reference, world_from(arguments).target(), ACCEPTED, arguments.only, tally)
    tally.finish()


def compare_all(reference: Target, ours: Target, accepted: dict[str, Accepted], only: str, tally: Tally) -> None:
    """Runs every case on both servers, on a mount of its own, and judges each."""
    mount = f"differential-{secrets.token_hex(4)}"
    for server in (reference, ours):
        made = server.send("POST", f"/v1/sys/mounts/{mount}", b'{"type":"kv-v2"}')
        if made.status != 204:
            raise SystemExit(f"{server.address} refused a mount: {made.status} {made.body!r}")
        wait_for_mount(server, mount)
    cases = [case for group in differential_secrets.GROUPS + differential_doors.GROUPS for case in group()]
    names = [case.name for case in cases]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    tally.equal("no two cases have one name", duplicates, [])
    tally.equal("every accepted difference names a case", sorted(set(accepted) - set(names)), [])
    for case in cases:
        want = run(reference, case, mount)
        got = run(ours, case, mount)
        if only in case.name:
            judge(case, want, got, mount, accepted.get(case.name), tally)
    for server in (reference, ours):
        server.send("DELETE", f"/v1/sys/mounts/{mount}")


def wait_for_mount(server: Target, mount: str) -> None:
    """OpenBao upgrades a new mount in the background and refuses writes meanwhile."""
    for _ in range(1_000):
        if server.send("GET", f"/v1/{mount}/config").status == 200:
            return
    raise SystemExit(f"{server.address}: the mount did not become ready")


def run(server: Target, case: Case, mount: str) -> Reply:
    """Sends one case to one server."""
    body = case.body
    if body is not None and not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.replace("{m}", mount).encode("utf-8")
    try:
        reply = server.send(case.method, case.path.replace("{m}", mount), body, case.headers, case.token)
    except OSError as trouble:
        return Reply(0, [], f"no answer: {trouble}".encode())
    reply.body = reply.body.replace(server.credential.encode(), b"<credential>")
    return reply


def judge(case: Case, want: Reply, got: Reply, mount: str, accepted: Accepted | None, tally: Tally) -> None:
    """Compares two answers to one case."""
    differences = differ(case, want, got, mount)
    if accepted is None:
        tally.check(case.name, not differences, "\n".join(differences) + f"\nours: {got.body[:300]!r}")
    elif not differences:
        tally.check(case.name, False, f"no difference any more; take it off the list (was: {accepted.reason})")
    else:
        fits = got.status == accepted.status and accepted.holds(got)
        tally.check(
            f"{case.name} [accepted: {accepted.reason}]",
            fits,
            f"accepted with status {accepted.status}, but\n" + "\n".join(differences) + f"\nours: {got.body[:300]!r}",
        )


def differ(case: Case, want: Reply, got: Reply, mount: str) -> list[str]:
    """Everything in which two answers differ, one line each."""
    found = []
    if want.status != got.status:
        found.append(f"status: OpenBao {want.status}, ours {got.status}")
    for header in ["Cache-Control"] + (["Content-Type"] if want.body and got.body else []):
        one, other = (media(reply.header(header)) for reply in (want, got))
        if one != other:
            found.append(f"{header}: OpenBao {one!r}, ours {other!r}")
    path = tuple(part.replace("{m}", mount) for part in case.pick)
    one, other = (pick(parse(reply), path) for reply in (want, got))
    if case.compare == "types":
        one, other = types(one), types(other)
    found += compare("body", normal(one), normal(other))
    return found


def media(value: str | None) -> str | None:
    """A header value without its parameters."""
    return value and value.split(";")[0].strip().lower()


def parse(reply: Reply) -> Any:
    """The body: nothing, JSON, or a marker for something that is not JSON."""
    if not reply.body:
        return None
    parsed = reply.json()
    return "<not JSON>" if parsed is None else parsed


def pick(value: Any, path: tuple[str, ...]) -> Any:
    """The part of an answer that a case compares."""
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return f"<no {part}>"
        value = value[part]
    return value


def types(value: Any) -> Any:
    """The shape of a value: keys and types."""
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return f"<{type(value).__name__}>" if value is not None else None
    return "<list>" if isinstance(value, list) else "<number>"


def normal(value: Any, key: str = "") -> Any:
    """The value with everything volatile replaced."""
    if isinstance(value, dict):
        return {name: normal(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [normal(item, key) for item in value]
    if key in NOT_OFFERED:
        return types(value)
    if isinstance(value, str):
        if key in VOLATILE and value:
            return "<volatile>"
        if TIME.match(value):
            return "<time>"
        if key == "errors":
            return error_text(value)
    return value


def error_text(text: str) -> str:
    """An error text without what belongs to the implementation's language (parser positions, type names, order)."""
    text = JSON_TROUBLE.sub(r"\1…", text)
    text = FIELD_TROUBLE.sub(r"\1…", text)
    return "\n".join(sorted(text.split("\n"))) if text.count("\n\t*") > 1 else text


def compare(where: str, want: Any, got: Any) -> list[str]:
    """The differences between two JSON values, by place."""
    if isinstance(want, dict) and isinstance(got, dict):
        found = [f"{where}: ours lacks `{key}`" for key in want if key not in got]
        found += [f"{where}: ours adds `{key}`" for key in got if key not in want]
        for key in want:
            if key in got:
                found += compare(f"{where}.{key}", want[key], got[key])
        return found
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [line for at, pair in enumerate(zip(want, got)) for line in compare(f"{where}[{at}]", *pair)]
    same = want == got and isinstance(want, bool) == isinstance(got, bool)
    return [] if same else [f"{where}: OpenBao {shown(want)}, ours {shown(got)}"]


def shown(value: Any) -> str:
    """A value for people, cut to a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"


if __name__ == "__main__":
    main()
