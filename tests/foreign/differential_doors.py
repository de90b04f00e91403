"""The requests about paths, methods, headers, credentials and `sys/` that the differential test sends, as data."""

from __future__ import annotations

from typing import Iterator

from differential_case import MERGE_PATCH, Case, case_maker


def _paths() -> Iterator[Case]:
    c = case_maker("path")
    for path in [
        "with%20space", "plus+sign", "%C3%A9", "%F0%9F%98%80", "a:b", "a=b", "a@b", "a,b", "(a)", "$x", "a~b", "a;b",
        "a*b", "*", "+", "%25", "%2525", "%5c", "...", "..a", "a..b", ".a", "Case", "case", "data/x", "metadata/x",
        "x/data/y", "%22q%22", "%3Cx%3E", "a%23b", "a%3Fb",
    ]:
        yield c("POST", f"data/p/{path}", {"data": {"p": path}})
        yield c("GET", f"data/p/{path}")
    yield c("LIST", "metadata/p/")
    long = "p" * 200 + "/" + "q" * 800
    yield c("POST", f"data/{long}", {"data": {}}, "1,001 bytes")
    yield c("GET", f"data/{long}", note="1,001 bytes")
    for path in [
        "a//b", "/a", "a/./b", ".", "..", "a/../b", "../../sys/mounts/x", "a%2fb", "..%2fa", "%2e%2e/a", "a/%2E%2E/b",
        "a%00b", "a%0ab", "a%7fb", "a%E2%80%8Bb", "e%CC%81", "%ff", "%zz", "a%",
    ]:
        yield c("POST", f"data/q/{path}", {"data": {}})
        yield c("GET", f"data/q/{path}")
    yield c("POST", "data/trail/", {"data": {}}, "trailing slash")
    yield c("POST", "data/trail", {"data": {}})
    yield c("GET", "metadata/trail/", note="trailing slash")
    yield c("DELETE", "data/trail/", note="trailing slash")
    yield c("POST", "data/", {"data": {}}, "no path")
    yield c("GET", "data/", note="no path")
    yield c("DELETE", "data/", note="no path")
    yield c("PATCH", "data/", {"data": {}}, "no path", headers=MERGE_PATCH)
    for method, body in [("GET", None), ("POST", {"data": {}}), ("DELETE", None)]:
        yield c(method, "data", body, "the mount's root")
        yield c(method, "no-such-route/x", body)
        yield c(method, "DATA/x", body, "names have a case")
    yield c("POST", "data/" + "p" * 2_000, {"data": {}}, "2,000 bytes")
    yield c("POST", "data/" + "p" * 64_000, {"data": {}}, "64,000 bytes")


def _requests() -> Iterator[Case]:
    c = case_maker("request")
    yield c("POST", "data/r", {"data": {"a": 1}})
    for method in ["HEAD", "OPTIONS", "TRACE", "COPY", "list"]:
        yield c(method, "data/r", note="other method")
    yield c("GET", "data/r", headers={"X-Vault-Request": None}, note="no X-Vault-Request")
    yield c("GET", "data/r", headers={"X-Vault-Wrap-TTL": "0"}, note="no wrapping")
    yield c("GET", "data/r", headers={"X-Vault-Wrap-TTL": "abc"}, note="bad wrapping")
    yield c("GET", "data/r", headers={"X-Vault-Wrap-TTL": "60s"}, note="wrapping", compare="types")
    for token, note in [(None, "no token"), ("bad", "bad token"), ("s." + "x" * 24, "unknown token"), ("x" * 500, "long token")]:
        yield c("GET", "data/r", note=note, token=token)
        yield c("POST", "data/r", {"data": {"a": 2}}, note, token=token)
        yield c("LIST", "metadata/", note=note, token=token)
        yield c("GET", "/v1/no-such-mount/x", note=note, token=token)
        yield c("GET", "/v1/sys/mounts", note=note, token=token)
        yield c("GET", "/v1/auth/token/lookup-self", note=note, token=token)
        yield c("GET", "/v1/sys/internal/ui/mounts/{m}", note=note, token=token)
    yield c("GET", "data/r", note="unchanged")
    yield c("GET", "/v1/no-such-mount/data/x")
    yield c("POST", "/v1/no-such-mount/data/x", {"data": {}})
    yield c("GET", "/v1/auth/no-such-method/x")
    yield c("GET", "/v1")
    yield c("GET", "/v1/")
    yield c("GET", "/v2/{m}/data/r")
    yield c("GET", "/V1/{m}/data/r")


def _system() -> Iterator[Case]:
    c = case_maker("sys")
    yield c("GET", "/v1/sys/health", compare="types", token=None)
    yield c("HEAD", "/v1/sys/health", token=None)
    yield c("GET", "/v1/sys/health?activecode=299", compare="types", token=None)
    yield c("GET", "/v1/sys/health?sealedcode=x", token=None)
    yield c("POST", "/v1/sys/health", token=None)
    yield c("GET", "/v1/sys/seal-status", compare="types", token=None)
    yield c("GET", "/v1/sys/init", token=None)
    yield c("PUT", "/v1/sys/init", {"secret_shares": 5, "secret_threshold": 3}, token=None)
    yield c("GET", "/v1/sys/leader", token=None)
    yield c("GET", "/v1/sys/no-such-thing")
    yield c("GET", "/v1/sys/mounts", pick=("data", "{m}/"), compare="types")
    yield c("GET", "/v1/sys/mounts", pick=("data", "{m}/", "options"))
    yield c("GET", "/v1/sys/mounts/{m}", pick=("data",), compare="types")
    yield c("GET", "/v1/sys/mounts/{m}", pick=("data", "type"))
    yield c("GET", "/v1/sys/mounts/no-such-mount")
    yield c("GET", "/v1/sys/mounts/{m}/tune", pick=("data",), compare="types")
    yield c("GET", "/v1/sys/mounts/no-such-mount/tune")
    yield c("POST", "/v1/sys/mounts/{m}/tune", {"description": "tuned"})
    yield c("GET", "/v1/sys/mounts/{m}/tune", pick=("data", "description"))
    yield c("POST", "/v1/sys/mounts/{m}/tune", {"options": {"version": "2"}}, "no change")
    yield c("POST", "/v1/sys/mounts/{m}/tune", {"options": {"version": "1"}}, "downgrade")
    yield c("POST", "/v1/sys/mounts/no-such-mount/tune", {"description": "x"})
    yield c("POST", "/v1/sys/mounts/{m}", {"type": "kv-v2"}, "taken")
    yield c("POST", "/v1/sys/mounts/second-{m}", {"type": "kv", "options": {"version": 2}, "config": None, "description": None})
    yield c("GET", "/v1/sys/mounts/second-{m}", pick=("data", "options"))
    yield c("GET", "/v1/second-{m}/data/x", note="a new mount is empty")
    yield c("DELETE", "/v1/sys/mounts/second-{m}")
    yield c("DELETE", "/v1/sys/mounts/second-{m}", note="again")
    yield c("GET", "/v1/second-{m}/data/x", note="unmounted")
    yield c("POST", "/v1/sys/mounts/sys", {"type": "kv-v2"}, "reserved")
    yield c("POST", "/v1/sys/mounts/auth", {"type": "kv-v2"}, "reserved")
    yield c("POST", "/v1/sys/mounts/third-{m}", {"type": "no-such-engine"})
    yield c("POST", "/v1/sys/mounts/third-{m}", {}, "no type")
    yield c("POST", "/v1/sys/mounts/third-{m}", "{", "not JSON")
    yield c("POST", "/v1/sys/mounts/third-{m}", {"type": "transit"}, "an engine that we do not have")
    yield c("POST", "/v1/sys/mounts/fourth-{m}", {"type": "kv", "options": {"version": "1"}}, "version 1")
    yield c("POST", "/v1/sys/mounts/fifth-{m}", {"type": "kv"}, "version 1 by default")
    yield c("GET", "/v1/sys/internal/ui/mounts", pick=("data", "secret", "{m}/"), compare="types")
    for path in ["{m}", "{m}/", "{m}/data/x"]:
        yield c("GET", f"/v1/sys/internal/ui/mounts/{path}", pick=("data",), compare="types")
        yield c("GET", f"/v1/sys/internal/ui/mounts/{path}", pick=("data", "path"))
        yield c("GET", f"/v1/sys/internal/ui/mounts/{path}", pick=("data", "options"))
    yield c("GET", "/v1/sys/internal/ui/mounts/no-such-mount")
    yield c("GET", "/v1/sys/internal/ui/mounts/no-such-mount/x")
    yield c("POST", "/v1/sys/capabilities-self", {"paths": ["{m}/data/a"]}, pick=("data",), compare="types")
    yield c("POST", "/v1/sys/capabilities-self", {}, "no path")
    yield c("GET", "/v1/sys/capabilities-self")
    yield c("GET", "/v1/auth/token/lookup-self", compare="types")
    yield c("POST", "/v1/auth/token/renew-self", {}, "not renewable")
    yield c("GET", "/v1/auth/token/no-such-thing")
    yield c("GET", "/v1/{m}/data/a", headers={"X-Vault-Namespace": "no-such-tenant"}, note="a namespace that is not the caller's")


GROUPS = [_paths, _requests, _system]
"""In the order in which they run."""
