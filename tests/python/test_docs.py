# SPDX-License-Identifier: Apache-2.0
"""The manual page and the guide hold the options that there are, and no others."""

import re
import subprocess
import sys

import pytest
from cloud import need
from conftest import REPOSITORY
from kit import package  # noqa: F401 - fixture

PAGE = REPOSITORY / "docs" / "man" / "cyborg-spdk-arqd.8"
GUIDE = REPOSITORY / "docs" / "cyborg.md"
# For the driver, which the page of the service leaves out.
DRIVER_ONLY = {"helper", "memory", "discover_timeout", "resource_class", "traits"}


@pytest.fixture
def options(package):
    need("oslo_config", "keystoneauth1")
    from cyborg_spdk import config
    return {option.name: option for option in config.COMMON + config.DRIVER + config.ARQD}


def test_page_has_the_options_of_the_group(options):
    text = PAGE.read_text().partition(".Sh CONFIGURATION")[2].partition(".Sh SIGNALS")[0]
    named = {name for line in re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE)
             for name in re.findall(r"\w+", line)}
    assert named == set(options) - DRIVER_ONLY


def test_guide_has_each_option_with_its_default(options):
    table = GUIDE.read_text().partition("| option |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert set(rows) == set(options)
    for name, option in options.items():
        if option.default not in (None, [], {}):
            assert rows[name].strip("`") == str(option.default).lower() or \
                rows[name].strip("`") == option.default, name


def test_page_has_options_of_the_program_only(options, package):
    need("oslo_log")
    said = subprocess.run([sys.executable, package / "bin" / "cyborg-spdk-arqd", "--help"],
                          env={"PYTHONPATH": str(package)}, stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    has = set(re.findall(r"--([a-z][a-z-]+)", said))
    text = PAGE.read_text().partition(".Sh CONFIGURATION")[0]
    named = {word for line in re.findall(r"^\.(?:It|Op) .*$", text, re.MULTILINE)
             for word in re.findall(r"Fl (?:\w , )?-([a-z][a-z-]+)", line)}
    assert {"once", "config-file", "config-dir"} <= named <= has


def test_generator_lists_the_group(options):
    from cyborg_spdk import config
    (group, listed), = config.list_opts()
    assert group.name == "spdk"
    names = [option.dest for option in listed]
    assert set(options) <= set(names) and {"auth_type", "auth_section", "endpoint_override"} <= \
        set(names)
