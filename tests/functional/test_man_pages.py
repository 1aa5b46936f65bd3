# SPDX-License-Identifier: Apache-2.0
"""The manual pages hold the options that the programs have, and no others."""

import re
import subprocess

import pytest
from conftest import REPOSITORY

VERBS = {"cyborg-spdk": ("discover list install attach detach update uninstall status "
                         "recover").split(),
         "cyborg-spdk-blob": "inspect map check repair dump export create".split()}
PAGES = {"cyborg-spdk": 1, "cyborg-spdk-tgt": 8, "cyborg-spdk-perf": 1,
         "cyborg-spdk-supervise": 1, "cyborg-spdk-blob": 1, "cyborg-spdk-agent": 8}


def page_of(name):
    text = (REPOSITORY / "docs" / "man" / f"{name}.{PAGES[name]}").read_text()
    return text.replace("\\-", "-").replace("\\~", " ")


def options_of_page(name):
    """Of man(7) as they are; mdoc(7)'s Fl puts the first dash."""
    text = page_of(name)
    if ".Dd" not in text:
        return set(re.findall(r"--([a-z][a-z0-9-]+)", text))
    found = set()
    for line in text.splitlines():
        if re.search(r"\bFl\b", line):
            found.update(re.findall(r"(?<=[ ,])-([a-z][a-z0-9-]+)", line))
    return found


def options_of_program(path, words):
    text = subprocess.run([path, *words, "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return set(re.findall(r"^ +(?:-\w, )?--([a-z][a-z0-9-]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_options(program, name):
    path = program(name)
    has = options_of_program(path, [])
    for verb in VERBS.get(name, ()):
        has |= options_of_program(path, [verb])
    assert options_of_page(name) | {"help", "version"} == has | {"help", "version"}


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_are_named_exist(name):
    text = page_of(name)
    named = re.findall(r"^\.Xr (cyborg-spdk\S*) (\d)", text, re.MULTILINE)
    named += re.findall(r"^\.BR (cyborg-spdk\S*) \((\d)\)", text, re.MULTILINE)
    assert named
    for other, section in named:
        assert PAGES[other] == int(section), other
