#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compile every header of the project alone, and twice over, in a translation unit of its own.

A header that needs another in front of it, or lacks its guard, fails. The headers are found when
the test runs, so that a new one is covered without being listed anywhere.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys


def include_flags(build):
    """The include directories that the sources of the project are built with."""
    commands = json.loads((build / "compile_commands.json").read_text())
    flags = {}
    for command in commands:
        for word in shlex.split(command["command"]):
            if word.startswith("-I"):
                path = os.path.join(command["directory"], word[2:])
                flags["-I" + os.path.normpath(path)] = True
    return list(flags)


def compile_alone(compiler, flags, root, header):
    """Return what the compiler says against the header; the empty string when nothing."""
    name = header.relative_to(root).as_posix()
    unit = f'#include "{name}"\n#include "{name}"\n'
    done = subprocess.run(
        [*compiler, *flags, "-I", str(root), "-x", "c", "-fsyntax-only", "-"],
        input=unit, text=True, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"{header}:\n{done.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build directory")
    parser.add_argument("--root", type=pathlib.Path, action="append", required=True,
                        help="a folder whose headers are checked, included relative to it")
    parser.add_argument("compiler", nargs="+", help="the compiler and its flags")
    args = parser.parse_args()

    flags = include_flags(args.build)
    headers = [(root, path) for root in args.root for path in sorted(root.rglob("*.h"))]
    if not headers:
        sys.exit(f"no headers under {', '.join(map(str, args.root))}")
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        said = list(pool.map(
            lambda item: compile_alone(args.compiler, flags, *item), headers))
    faults = [text for text in said if text]
    print("\n".join(faults) or f"{len(headers)} headers stand alone")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
