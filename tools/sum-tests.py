#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Count tests in what test programs left: "PASSED FAILED SKIPPED" on standard output.

usage: sum-tests.py FILE...

FILE is a JUnit XML report (pytest's), or a Meson testlog.json. In the latter the tests that cmocka
counts inside each program are counted; a program that failed without naming a test counts as one.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA = re.compile(r"^\[ +(PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.MULTILINE)


def count_junit(path):
    passed = failed = skipped = 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        bad = int(suite.get("failures")) + int(suite.get("errors"))
        missed = int(suite.get("skipped"))
        passed += int(suite.get("tests")) - bad - missed
        failed += bad
        skipped += missed
    return passed, failed, skipped


def count_program(run):
    """One line of testlog.json: what cmocka said, or the program's own result."""
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in CMOCKA.findall((run.get("stdout") or "") + "\n" + (run.get("stderr") or "")):
        counts[word] += int(number)
    if run["result"] == "SKIP" and not any(counts.values()):
        counts["SKIPPED"] = 1
    elif run["result"] == "OK" and not any(counts.values()):
        counts["PASSED"] = 1
    elif run["result"] not in ("OK", "SKIP"):
        counts["FAILED"] = max(counts["FAILED"], 1)
    return counts["PASSED"], counts["FAILED"], counts["SKIPPED"]


def count_meson(path):
    with open(path, encoding="utf-8") as file:
        runs = [count_program(json.loads(line)) for line in file if line.strip()]
    return tuple(map(sum, zip(*runs))) if runs else (0, 0, 0)


def main():
    counts = [count_junit(path) if path.endswith(".xml") else count_meson(path)
              for path in sys.argv[1:]]
    print(*map(sum, zip(*counts)))


if __name__ == "__main__":
    main()
