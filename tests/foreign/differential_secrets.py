"""The requests about secrets that the differential test sends to both servers, in order, as data.

Each case runs once against each server; `{m}` is a KV v2 mount that the test
made for itself. Cases of one group share state, so their order matters; groups
use names of their own, so that an accepted difference in one (a write that only
one server takes) cannot show up in another.
"""

from __future__ import annotations

from typing import Any, Iterator

from differential_case import Case, case_maker, patch


def _config() -> Iterator[Case]:
    c = case_maker("config")
    yield c("GET", "config")
    yield c("POST", "config", {"max_versions": 5, "cas_required": True, "delete_version_after": "30m"})
    yield c("GET", "config", note="after POST")
    yield c("PUT", "config", {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"})
    yield c("GET", "config", note="after PUT")
    for text in ["90", "1h30m5s", "1.5h", "1d", "100ms", "0", ""]:
        yield c("POST", "config", {"delete_version_after": text}, f"lifetime {text!r}")
        yield c("GET", "config", note=f"lifetime {text!r}")
    yield c("POST", "config", {"delete_version_after": 30}, "lifetime as a number")
    yield c("GET", "config", note="lifetime as a number")
    yield c("POST", "config", {"cas_required": True}, "one field")
    yield c("GET", "config", note="the others stay")
    yield c("POST", "config", {"max_versions": "7", "cas_required": "false"}, "values as text")
    yield c("GET", "config", note="values as text")
    yield c("POST", "config", {}, "nothing to change")
    yield c("POST", "config", None, "no body")
    yield c("POST", "config", {"no_such_setting": 1}, "unknown field")
    for text in ["abc", "2d12h", "1w"]:
        yield c("POST", "config", {"delete_version_after": text}, f"bad lifetime {text!r}")
    yield c("POST", "config", {"delete_version_after": True}, "lifetime as a boolean")
    yield c("POST", "config", {"delete_version_after": 30.5}, "lifetime as a fraction")
    yield c("POST", "config", {"delete_version_after": "-1s"}, "negative lifetime")
    yield c("POST", "config", {"max_versions": "x"}, "bad number")
    yield c("POST", "config", {"max_versions": 1.5}, "fraction")
    yield c("POST", "config", {"max_versions": -1}, "negative number")
    yield c("POST", "config", {"cas_required": "yes"}, "bad boolean")
    yield c("POST", "config", "[]", "not an object")
    yield c("POST", "config", "{", "not JSON")
    yield c("DELETE", "config")
    yield c("LIST", "config")
    yield c("HEAD", "config")
    yield c("GET", "config/", note="trailing slash")
    yield c("POST", "config", {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"}, "restore")


def _write_and_read() -> Iterator[Case]:
    c = case_maker("data")
    yield c("GET", "data/missing")
    yield c("POST", "data/a", {"data": {"k": "v1"}})
    yield c("PUT", "data/a", {"data": {"k": "v2", "nested": {"list": [1, None, True, "x"]}}, "options": {}})
    yield c("GET", "data/a")
    for query in ["version=1", "version=2", "version=0", "version=", "version=-1", "version=3"]:
        yield c("GET", f"data/a?{query}")
    for query in ["version=abc", "version=1.5", "version=99999999999999999999", "version=1&version=2"]:
        yield c("GET", f"data/a?{query}", note="bad version")
    yield c("GET", "data/a?version=0x1", note="hexadecimal")
    yield c("GET", "data/a?version=%31", note="escaped digit")
    yield c("GET", "data/a?other=1", note="unknown parameter")
    yield c("GET", "data/a", "garbage", "a body nobody asked for")
    yield c("HEAD", "data/a")
    yield c("POST", "data/empty", {"data": {}})
    yield c("GET", "data/empty")
    yield c("POST", "data/nulls", {"data": {"a": None, "": 1}})
    yield c("GET", "data/nulls")
    yield c("POST", "data/text", {"data": {"u": "é\u0000😀\u2028", "html": "<a>&'\""}})
    yield c("GET", "data/text")
    yield c("POST", "data/text", '{"data":{"bad":"\\ud800"}}', "lone surrogate")
    yield c("POST", "data/extra", {"data": {"a": 1}, "extra": 1}, "unknown field")
    yield c("POST", "data/extra", {"data": {"a": 1}, "path": "elsewhere"}, "path in the body")
    yield c("GET", "data/elsewhere", note="the body cannot redirect the write")
    yield c("POST", "data/types", {"data": {"a": 1}}, "content type", headers={"Content-Type": "text/plain"})
    for number in ["1.0", "1e3", "0.1", "-0", "1.50", "1e21", "12345678901234567890123", "1E-400"]:
        yield c("POST", "data/number", '{"data":{"n":%s}}' % number, number)
        yield c("GET", "data/number", note=number)
    for number in ["18446744073709551615", "9007199254740993"]:
        yield c("POST", "data/big", '{"data":{"n":%s}}' % number, number)
        yield c("GET", "data/big", note=number)
    for number in ["1e400", "00", "+1", ".5", "1.", "NaN"]:
        yield c("POST", "data/number", '{"data":{"n":%s}}' % number, f"bad number {number}")


def _bodies() -> Iterator[Case]:
    c = case_maker("body")
    for text, note in [
        ("{}", "no data"),
        (None, "no body"),
        ("", "empty body"),
        ("null", "null"),
        ('{"DATA":{"a":1}}', "names have a case"),
        ('{"foo":{"a":1}}', "other member"),
        ('{"data":"x"}', "data is text"),
        ('{"data":5}', "data is a number"),
        ('{"data":false}', "data is a boolean"),
        ('{"data":[["a",1]]}', "data is a list of lists"),
        ('{"data":{},"options":"x"}', "options is text"),
        ('{"data":{},"options":5}', "options is a number"),
        ("[]", "a list"),
        ('"x"', "a text"),
        ("5", "a number"),
        ("{", "cut off"),
        ("{'data':{}}", "single quotes"),
        ('{"data":{"a":1,}}', "trailing comma"),
        ('\ufeff{"data":{"a":1}}', "byte order mark"),
        ('{"data":{"a":1}}]', "closing bracket after the end"),
    ]:
        yield c("POST", "data/bad", text, note)
    yield c("GET", "data/bad", note="nothing was written")
    yield c("POST", "data/null", '{"data":null}', "data is null")
    yield c("POST", "data/list", '{"data":[]}', "data is an empty list")
    yield c("POST", "data/list", '{"data":[{"a":1}]}', "data is a list of objects")
    yield c("POST", "data/dup", '{"data":{"a":1},"data":{"b":2}}', "duplicate member")
    yield c("POST", "data/dup", '{"data":{"a":1,"a":2}}', "duplicate member in data")
    yield c("POST", "data/more", '{"data":{"a":1}}{"x":1}', "a second document")
    yield c("POST", "data/utf8", b'{"data":{"a":"\xff"}}', "not UTF-8")
    yield c("POST", "data/depth", '{"data":{"a":' + "[" * 50 + "]" * 50 + "}}", "50 levels")
    yield c("POST", "data/deep", '{"data":{"a":' + "[" * 200 + "]" * 200 + "}}", "200 levels")
    yield c("POST", "data/deeper", '{"data":{"a":' + "[" * 20_000 + "]" * 20_000 + "}}", "20,000 levels")
    yield c("POST", "data/large", {"data": {"a": "x" * 500_000}}, "500 kB")
    yield c("POST", "data/larger", {"data": {"a": "x" * 1_100_000}}, "1.1 MB")


def _check_and_set() -> Iterator[Case]:
    c = case_maker("cas")

    def write(cas: Any, note: str) -> Case:
        return c("POST", "data/cas", {"data": {"k": "c"}, "options": {"cas": cas}}, note)

    yield write(1, "1 on nothing")
    yield write(0, "0 on nothing")
    yield write(0, "0 on version 1")
    yield write(-1, "-1")
    yield write(1, "1 on version 1")
    yield write("2", "as text")
    yield write("abc", "no number")
    yield write([3], "a list")
    yield write({}, "an object")
    yield write(3.9, "a fraction")
    yield write(None, "null")
    yield c("POST", "data/cas", {"data": {}, "options": {"CAS": 0}}, "names have a case")
    yield c("POST", "data/cas", {"data": {}, "options": None}, "options is null")
    yield c("POST", "metadata/strict", {"cas_required": True})
    yield c("POST", "data/strict", {"data": {}}, "required by the secret")
    yield patch(c, "data/strict", {"data": {}}, "a secret without a version")
    yield c("POST", "data/strict", {"data": {}, "options": {"cas": 0}})
    yield patch(c, "data/strict", {"data": {"a": 1}}, "required by the secret")
    yield patch(c, "data/strict", {"data": {"a": 1}, "options": {"cas": 1}})
    yield c("POST", "config", {"cas_required": True})
    yield c("POST", "data/lax", {"data": {}}, "required by the mount")
    yield c("POST", "metadata/lax", {"cas_required": False}, "a secret cannot relax the mount")
    yield c("POST", "data/lax", {"data": {}}, "still required")
    yield c("POST", "config", {"cas_required": False})


def _merge_patch() -> Iterator[Case]:
    c = case_maker("patch")
    yield patch(c, "data/p", {"data": {"a": 1}}, "missing")
    yield c("POST", "data/p", {"data": {"a": 1, "b": {"c": 1, "d": 2}, "l": [1, 2]}})
    for change in [
        {"a": 2},
        {"b": {"c": None}},
        {"l": [3]},
        {"b": "text"},
        {"a": None},
        {"n": {"m": None, "k": {"z": None, "y": 1}}},
        {},
    ]:
        yield patch(c, "data/p", {"data": change}, str(change))
        yield c("GET", "data/p", note=f"after {change}")
    yield patch(c, "data/p", {"data": {"q": 1}, "options": {"cas": 1}}, "old version")
    yield patch(c, "data/p", {"data": {"q": 1}, "options": {"cas": 8}}, "current version")
    yield patch(c, "data/p", {"data": {"q": 1}, "options": {"cas": "x"}}, "no number")
    yield patch(c, "data/p", {"data": "x"}, "data is text")
    yield patch(c, "data/p", {}, "no data")
    yield patch(c, "data/p", None, "no body")
    yield patch(c, "data/p", "[]", "a list")
    yield patch(c, "data/p", "{", "not JSON")
    for kind in ["application/json", "text/plain", "application/json-patch+json"]:
        yield c("PATCH", "data/p", {"data": {"t": 1}}, kind, headers={"Content-Type": kind})
    yield c("PATCH", "data/p", {"data": {"t": 1}}, "no content type")
    yield c(
        "PATCH", "data/p", {"data": {"t": 1}}, "charset",
        headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
    )
    yield c("GET", "data/p", note="in the end")


def _versions() -> Iterator[Case]:
    c = case_maker("versions")
    for number in range(1, 7):
        yield c("POST", "data/v", {"data": {"i": number}})
    yield c("DELETE", "data/v")
    yield c("GET", "data/v", note="404 with data")
    yield c("GET", "subkeys/v", note="404 with data")
    yield c("GET", "data/v?version=5")
    yield c("DELETE", "data/v", note="again")
    yield c("DELETE", "data/no-such-secret")
    yield c("GET", "metadata/no-such-secret")
    yield patch(c, "data/v", {"data": {"x": 1}}, "deleted")
    for verb in ["delete", "undelete", "destroy"]:
        yield c("POST", f"{verb}/v", {"versions": [1, 2]})
        yield c("PUT", f"{verb}/v", {"versions": ["2", "99"]}, "text and a version that is not there")
        yield c("GET", "metadata/v", note=f"after {verb}")
        yield c("POST", f"{verb}/v", {"versions": []}, "none")
        yield c("POST", f"{verb}/v", {}, "no list")
        yield c("POST", f"{verb}/v", None, "no body")
        yield c("POST", f"{verb}/v", {"version": [1]}, "wrong name")
        yield c("POST", f"{verb}/v", {"versions": ["x"]}, "no number")
        yield c("POST", f"{verb}/v", {"versions": [[3]]}, "a list")
        yield c("POST", f"{verb}/v", {"versions": [3.5]}, "a fraction")
        yield c("POST", f"{verb}/v", {"versions": {"a": 1}}, "an object")
        yield c("POST", f"{verb}/no-such-secret", {"versions": [1]})
        yield c("GET", f"{verb}/v")
        yield c("LIST", f"{verb}/v")
        yield c("DELETE", f"{verb}/v")
        yield c("POST", f"{verb}/", {"versions": [1]}, "no path")
    yield c("GET", "data/v?version=1", note="destroyed")
    yield c("POST", "undelete/v", {"versions": [1, 6]}, "destroyed stays destroyed")
    yield c("GET", "data/v?version=1", note="still destroyed")
    yield c("POST", "destroy/v", {"versions": [6]}, "the current one")
    yield c("GET", "data/v", note="the current one is destroyed")
    yield patch(c, "data/v", {"data": {"x": 1}}, "destroyed")
    yield c("POST", "data/v", {"data": {"i": 7}, "options": {"cas": 6}}, "a destroyed version counts")
    yield c("GET", "metadata/v", note="in the end")


def _pruning() -> Iterator[Case]:
    c = case_maker("prune")
    yield c("POST", "metadata/k", {"max_versions": 2})
    for number in range(1, 5):
        yield c("POST", "data/k", {"data": {"i": number}})
    yield c("GET", "metadata/k", note="two are kept")
    yield c("GET", "data/k?version=1", note="pruned")
    yield c("POST", "undelete/k", {"versions": [1]}, "pruned")
    yield c("POST", "metadata/k", {"max_versions": 1})
    yield c("GET", "metadata/k", note="a lower number takes effect with the next write")
    yield c("POST", "data/k", {"data": {"i": 5}})
    yield c("GET", "metadata/k", note="one is kept")
    yield c("POST", "metadata/k", {"max_versions": 4})
    yield c("POST", "data/k", {"data": {"i": 6}})
    yield c("GET", "metadata/k", note="what is gone stays gone")
    for number in range(1, 13):
        yield c("POST", "data/ten", {"data": {"i": number}})
    yield c("GET", "metadata/ten", note="ten are kept by default")
    yield c("POST", "metadata/ten", {"delete_version_after": "1h"})
    yield c("POST", "data/ten", {"data": {"i": 13}}, "a deletion time in the future")
    yield c("GET", "data/ten", note="readable until then")
    yield c("POST", "undelete/ten", {"versions": [13]})
    yield c("GET", "data/ten", note="undelete starts the clock again")


def _metadata() -> Iterator[Case]:
    c = case_maker("metadata")
    yield c("GET", "metadata/m")
    yield patch(c, "metadata/m", {"max_versions": 1}, "missing")
    yield c("POST", "metadata/m", {"max_versions": 3, "custom_metadata": {"a": "b", "c": "d"}}, "before any version")
    yield c("GET", "metadata/m")
    yield c("GET", "data/m", note="no version yet")
    yield c("GET", "subkeys/m", note="no version yet")
    yield c("POST", "data/m", {"data": {"x": 1}})
    yield c("GET", "data/m", note="shows custom_metadata")
    for change in [
        {"custom_metadata": {"e": "f"}},
        {"cas_required": True},
        {"cas_required": False, "delete_version_after": "1h"},
        {"custom_metadata": {"number": 1, "truth": True}},
        {"custom_metadata": {"é": "ü"}},
        {"custom_metadata": {}},
        {"custom_metadata": None},
        {"max_versions": 0, "delete_version_after": "0s"},
    ]:
        yield c("POST", "metadata/m", change, str(change))
        yield c("GET", "metadata/m", note=f"after {change}")
    yield c("PUT", "metadata/m", {}, "nothing to change")
    yield c("PUT", "metadata/m", None, "no body")
    yield c("POST", "metadata/m", {"no_such_setting": 1}, "unknown field")
    for change, note in [
        ({"custom_metadata": "x"}, "text"),
        ({"custom_metadata": {"a": None}}, "a null value"),
        ({"custom_metadata": {"a": {"b": "c"}}}, "nested"),
        ({"custom_metadata": {"": "x"}}, "an empty name"),
        ({"custom_metadata": {"k": ""}}, "an empty value"),
        ({"custom_metadata": {"k" * 129: "v"}}, "a name of 129"),
        ({"custom_metadata": {"k": "v" * 513}}, "a value of 513"),
        ({"custom_metadata": {f"k{i}": "v" for i in range(65)}}, "65 pairs"),
        ({"custom_metadata": {"k\n": "v"}}, "a line break in a name"),
        ({"custom_metadata": {"k": "v\n"}}, "a line break in a value"),
        ({"max_versions": "x"}, "bad number"),
        ({"cas_required": "x"}, "bad boolean"),
        ({"delete_version_after": "x"}, "bad lifetime"),
        ({"delete_version_after": "-5s"}, "negative lifetime"),
    ]:
        yield c("POST", "metadata/m", change, note)
    yield c("GET", "metadata/m", note="unchanged by refused writes")
    yield c("POST", "metadata/negative", {"max_versions": -1}, "negative number")
    yield c("POST", "metadata/full", {"custom_metadata": {f"k{i}": "v" * 512 for i in range(64)}}, "the most allowed")
    yield c("POST", "metadata/full", {"custom_metadata": {"k" * 128: "v"}}, "the longest name")
    for change in [
        {"custom_metadata": {"a": "1", "b": "2"}},
        {"custom_metadata": {"a": None}},
        {"max_versions": 5, "delete_version_after": "10s"},
        {"max_versions": None},
        {"custom_metadata": {}},
        {"custom_metadata": None},
        {},
    ]:
        yield patch(c, "metadata/m", change, str(change))
        yield c("GET", "metadata/m", note=f"after patch {change}")
    yield patch(c, "metadata/m", {"custom_metadata": "x"}, "text")
    yield patch(c, "metadata/m", {"custom_metadata": {"k" * 129: "v"}}, "a name of 129")
    yield patch(c, "metadata/m", {"max_versions": "x"}, "bad number")
    yield c("PATCH", "metadata/m", {}, "content type", headers={"Content-Type": "application/json"})
    yield c("POST", "metadata/", {}, "no path")
    yield c("DELETE", "metadata/m")
    yield c("GET", "metadata/m", note="gone")
    yield c("GET", "data/m", note="gone")
    yield c("DELETE", "metadata/m", note="again")
    yield c("POST", "data/m", {"data": {}}, "starts at 1 again")


def _metadata_cas() -> Iterator[Case]:
    c = case_maker("metadata-cas")
    yield c("POST", "metadata/x", {"max_versions": 3, "metadata_cas": 1}, "1 on nothing")
    yield c("POST", "metadata/x", {"max_versions": 3, "metadata_cas": 0}, "0 on nothing")
    yield c("POST", "metadata/x", {"max_versions": 4, "metadata_cas": 0}, "old version")
    yield patch(c, "metadata/x", {"max_versions": 4, "metadata_cas": 1}, "current version")
    yield c("POST", "metadata/x", {"metadata_cas_required": True})
    yield c("POST", "metadata/x", {"max_versions": 5}, "required")
    yield c("POST", "metadata/x", {"max_versions": 5, "metadata_cas": 3})
    yield c("GET", "metadata/x")


def _lists() -> Iterator[Case]:
    c = case_maker("list")
    for path in ["f/b", "f/a", "f/a/x", "f/a/y/z", "f/c/d", "f/Z", "f/%C3%A4", "f/sp%20ace", "f/10", "f/9"]:
        yield c("POST", f"data/{path}", {"data": {}})
    for path in ["f", "f/", "f/a", "f/a/", "f/b", "f/b/", "f/none", "f/none/", "f/a/x", "f/sp%20ace"]:
        yield c("LIST", f"metadata/{path}")
    for value in ["true", "1", "t", "True", "TRUE"]:
        yield c("GET", f"metadata/f/?list={value}")
    yield c("GET", "metadata/f/a?list=true", note="a secret and a folder of one name")
    yield c("GET", "metadata/f/a?list=false", note="reads")
    yield c("GET", "metadata/f/?list=yes", note="no boolean")
    for query in [
        "limit=2", "limit=2&after=10", "limit=0", "limit=-1", "limit=1000", "after=a", "after=a/", "after=aa",
        "after=zzzz&limit=1", "after=9&limit=1", "after=%C3%A4",
    ]:
        yield c("LIST", f"metadata/f/?{query}")
    yield c("LIST", "metadata/f/?limit=x", note="no number")
    yield c("LIST", "metadata/f/?other=1", note="unknown parameter")
    yield c("DELETE", "data/f/b")
    yield c("LIST", "metadata/f/", note="a deleted secret stays listed")
    yield c("DELETE", "metadata/f/c/d")
    yield c("LIST", "metadata/f/", note="a folder ends with its last secret")
    yield c("LIST", "data/f/", note="not there")
    yield c("LIST", "", note="the mount itself")
    yield c("SCAN", "metadata/f/", note="extension")
    yield c("LIST", "detailed-metadata/f/a", note="extension")


def _subkeys() -> Iterator[Case]:
    c = case_maker("subkeys")
    yield c("GET", "subkeys/s")
    yield c("POST", "data/s", {"data": {"a": 1, "b": {"c": {"d": {"e": 1}}, "n": None}, "l": [{"x": 1}], "e": {}}})
    yield c("GET", "subkeys/s")
    for query in ["depth=0", "depth=1", "depth=2", "depth=99", "version=1", "version=1&depth=1", "version=2"]:
        yield c("GET", f"subkeys/s?{query}")
    yield c("GET", "subkeys/s?depth=x", note="no number")
    yield c("POST", "data/s0", {"data": {}})
    yield c("GET", "subkeys/s0", note="nothing inside")
    yield c("POST", "subkeys/s", {"a": 1})
    yield c("LIST", "subkeys/s")


GROUPS = [
    _config, _write_and_read, _bodies, _check_and_set, _merge_patch, _versions, _pruning, _metadata, _metadata_cas,
    _lists, _subkeys,
]
"""In the order in which they run."""
