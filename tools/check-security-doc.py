#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hold docs/security.md to the tests: each test it names exists, each test_security_* is named.

usage: check-security-doc.py

A test is named as `FILE::FUNCTION` in backticks, FILE below tests/. Exit code 1 when one is amiss.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`([\w./-]+)::(\w+)`")
# A cmocka test, or a pytest one.
DEFINED = re.compile(r"^(?:static void|\s*def) (test_\w+)\(", re.MULTILINE)


def defined_tests():
    files = subprocess.run(["git", "ls-files", "tests"], cwd=ROOT, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    for name in files:
        path = ROOT / name
        if path.suffix in (".c", ".py") and path.exists():
            for test in DEFINED.findall(path.read_text()):
                yield name.removeprefix("tests/"), test


def main():
    defined = set(defined_tests())
    named = set(NAMED.findall(PAGE.read_text()))
    absent = sorted(named - defined)
    untold = sorted((file, test) for file, test in defined - named
                    if test.startswith("test_security_"))
    for file, test in absent:
        print(f"docs/security.md names {file}::{test}, which is no test")
    for file, test in untold:
        print(f"docs/security.md does not name {file}::{test}")
    if not named:
        print("docs/security.md names no test")
    return 1 if absent or untold or not named else 0


if __name__ == "__main__":
    sys.exit(main())
