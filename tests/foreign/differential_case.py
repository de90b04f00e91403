"""What a request of the differential test looks like, and a short way to write many.

Deliberately absent: expectations. What a real OpenBao answers is the
expectation; where we differ on purpose stands in `differential_accepted.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
"""The content type without which neither server takes a PATCH."""

OWN = ""
"""Stands for the credential of the server under test."""


@dataclass(frozen=True)
class Case:
    """One request. `body` is sent as it is when it is text, as JSON otherwise."""

    name: str
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    token: str | None = OWN
    compare: str = "values"  # or "types": same keys and types, whatever the values
    pick: tuple[str, ...] = ()  # compare only this part of the answer


def case_maker(group: str) -> Any:
    seen: dict[str, int] = {}

    def make(method: str, path: str, body: Any = None, note: str = "", **more: Any) -> Case:
        name = f"{group}: {method} {path[:60]}" + (f" ({note})" if note else "")
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name += f" #{seen[name]}"
        if not path.startswith("/"):
            path = "/v1/{m}/" + path
        return Case(name, method, path, body, **more)

    return make


def patch(c: Any, path: str, body: Any, note: str = "") -> Case:
    return c("PATCH", path, body, note, headers=MERGE_PATCH)
