#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hold docs/security.md to the tests: each test it names exists, each test_security_* is named.

usage: check-security-doc.py

Tests stand in a list: "* `FILE`: `test_one` `test_two`", FILE below tests/, on one line or several.
Exit code 1 when one is amiss.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
ITEM = re.compile(r"^\* `([\w./-]+)`:((?:\s+`test_\w+`)+)$", re.MULTILINE)
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
    named = {(file, test) for file, tests in ITEM.findall(PAGE.read_text())
             for test in re.findall(r"\w+", tests)}
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
