"""Where Bailiwick answers otherwise than OpenBao on purpose, and why.

Each entry names one case of `differential_secrets.py` or `differential_doors.py`, the status that we answer
and the reason. Everything that is not here has to agree; an entry that agrees
fails, too, so that this list cannot outlive its reasons.

Deliberately absent: patterns. Every difference is listed by name; the fields in
`NOT_OFFERED` are compared by type only, wherever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from wire import Reply


@dataclass(frozen=True)
class Accepted:
    """One difference. `body` says what our answer holds: `errors`, `envelope` or `any`."""

    reason: str
    status: int
    body: str = "errors"

    def holds(self, got: Reply) -> bool:
        """Whether our answer has the form that was accepted."""
        if self.body == "any":
            return True
        parsed = got.json()
        if not isinstance(parsed, dict):
            return False
        if self.body == "envelope":
            return "request_id" in parsed
        errors = parsed.get("errors")
        return isinstance(errors, list) and all(isinstance(text, str) for text in errors)


NOT_OFFERED = {"current_metadata_version"}
"""Fields that belong to an extension of OpenBao that we do not have: check-and-set on metadata, its cases below."""

ACCEPTED: dict[str, Accepted] = {}


def _accept(reason: str, status: int, *names: str, body: str = "errors") -> None:
    for name in names:
        ACCEPTED[name] = Accepted(reason, status, body)


def _both(path: str) -> tuple[str, ...]:
    return tuple(f"path: {method} data/q/{path}" for method in ("POST", "GET"))


_accept(
    "a path that means another path is refused; OpenBao redirects to the other one",
    400,
    *(name for path in ["a//b", "/a", "a/./b", ".", "..", "a/../b", "../../sys/mounts/x"] for name in _both(path)),
)
_accept("an encoded slash is no second spelling of a slash", 400, *_both("a%2fb"))
_accept(
    "control and invisible characters are refused in the door's own error shape; OpenBao answers without a body",
    400,
    *(name for path in ["a%00b", "a%0ab", "a%7fb", "a%E2%80%8Bb"] for name in _both(path)),
)
_accept("two spellings of one character would be two secrets that look the same", 400, *_both("e%CC%81"))
_accept("a path is UTF-8; OpenBao answers 500 to a write and 404 to a read", 400, *_both("%ff"))
_accept(
    "a broken escape is refused in the door's own error shape; OpenBao answers as text",
    400,
    *(name for path in ["%zz", "a%"] for name in _both(path)),
)
_accept("a path has at most 1,024 bytes", 400, "path: POST data/" + ("p" * 55) + " (2,000 bytes)")
_accept("a request target has at most 8 KiB", 414, "path: POST data/" + ("p" * 55) + " (64,000 bytes)")
_accept(
    "a trailing slash names a folder; OpenBao reads the secret of that name",
    404,
    "path: GET metadata/trail/ (trailing slash)",
)
_accept(
    "a trailing slash names a folder, and a folder cannot be deleted; OpenBao deletes the secret of that name",
    400,
    "path: DELETE data/trail/ (trailing slash)",
    "path: DELETE data/ (no path)",
)

_accept(
    "numbers are kept as they were written; OpenBao rounds them to a float",
    200,
    "data: GET data/number (12345678901234567890123)",
    "data: GET data/big (18446744073709551615)",
    "data: GET data/big (9007199254740993)",
    body="envelope",
)
_accept("a version is a decimal number", 400, "data: GET data/a?version=0x1 (hexadecimal)")
_accept(
    "half a character is refused; OpenBao stores a replacement character",
    400,
    "data: POST data/text (lone surrogate)",
    "body: POST data/utf8 (not UTF-8)",
)
_accept(
    "a member named twice is refused, since two readers may pick different ones; OpenBao takes the last",
    400,
    "body: POST data/dup (duplicate member)",
    "body: POST data/dup (duplicate member in data)",
)
_accept(
    "`data` is an object; OpenBao stores null, and makes an object of a list",
    400,
    "body: POST data/null (data is null)",
    "body: POST data/list (data is an empty list)",
    "body: POST data/list (data is a list of objects)",
)
_accept("a body is one JSON document; OpenBao ignores what follows", 400, "body: POST data/more (a second document)")
_accept("JSON is nested 64 levels at most", 400, "body: POST data/deep (200 levels)")
_accept("a value has at most 512 KiB unless a quota says otherwise", 413, "body: POST data/larger (1.1 MB)")

_accept(
    "a number of versions is not negative; OpenBao wraps it to 4294967295",
    400,
    "config: POST config (negative number)",
    "metadata: POST metadata/negative (negative number)",
)
_accept(
    "a lifetime is not negative; OpenBao takes it as `secrets may not set one`",
    400,
    "config: POST config (negative lifetime)",
)
_accept("the error text of OpenBao names types of its language", 400, "metadata: POST metadata/m (nested)")

_accept(
    "not offered: check-and-set on metadata, an extension of OpenBao. Who asks for it is refused, not ignored",
    400,
    "metadata-cas: POST metadata/x (1 on nothing)",
    "metadata-cas: POST metadata/x (0 on nothing)",
    "metadata-cas: POST metadata/x (old version)",
    "metadata-cas: PATCH metadata/x (current version)",
    "metadata-cas: POST metadata/x",
    "metadata-cas: POST metadata/x #2",
)
_accept(
    "not offered: check-and-set on metadata. It was not turned on, so nothing requires it",
    204,
    "metadata-cas: POST metadata/x (required)",
    body="any",
)
_accept(
    "not offered: check-and-set on metadata. It was not turned on",
    200,
    "metadata-cas: GET metadata/x",
    body="envelope",
)
_accept(
    "not offered: an extension of OpenBao that walks a whole tree in one request",
    405,
    "list: SCAN metadata/f/ (extension)",
)
_accept(
    "not offered: an extension of OpenBao that reads metadata where only listing was asked for",
    404,
    "list: LIST detailed-metadata/f/a (extension)",
    body="envelope",
)
_accept("OPTIONS is a method like any other that is not offered", 405, "request: OPTIONS data/r (other method)")
_accept(
    "not offered: wrapping. Refused before anything happens, never answered unwrapped",
    400,
    "request: GET data/r (bad wrapping)",
    "request: GET data/r (wrapping)",
)
_accept(
    "not a path of this door",
    404,
    "request: GET /v2/{m}/data/r",
    "request: GET /V1/{m}/data/r",
    body="any",
)
_accept("not offered: other engines", 400, "sys: POST /v1/sys/mounts/third-{m} (an engine that we do not have)")
_accept(
    "not offered: KV version 1. Never mounted silently as version 2",
    400,
    "sys: POST /v1/sys/mounts/fourth-{m} (version 1)",
    "sys: POST /v1/sys/mounts/fifth-{m} (version 1 by default)",
)
_accept(
    "a credential belongs to a tenant, and a tenant is a namespace: `namespace_path` says which, "
    "as OpenBao does for tokens of a namespace",
    200,
    "sys: GET /v1/auth/token/lookup-self",
    body="envelope",
)
_accept(
    "a namespace that is not the caller's is refused whether it exists or not, and before the client falls back "
    "to version 1 of the engine and sends the secret to the wrong place; OpenBao tells which namespaces exist",
    403,
    "sys: GET /v1/{m}/data/a (a namespace that is not the caller's)",
)
