# SPDX-License-Identifier: Apache-2.0
# A thin face on Meson and the scripts in tools/. Each target installs what it needs on Debian 12.

PREFIX ?= /usr/local
PARTS ?=

help:
	@echo 'make build    build the programs into build/bin/'
	@echo 'make demo     show the main job on this machine: discover a node, attach, verify, detach'
	@echo 'make check    run all tests and checks; PARTS="unit functional" for some (tools/check.sh -l)'
	@echo 'make bench    measure, as ratios against bare programs'
	@echo 'make install  install to PREFIX (/usr/local), below DESTDIR'
	@echo 'make clean    remove build/'

build:
	@tools/build.sh

demo: build
	@tools/demo.sh

check:
	@tools/check.sh $(PARTS)

bench: build
	@tools/install-deps.sh build bench
	@bench/run.sh

install: build
	@meson configure build/meson -Dprefix="$(abspath $(PREFIX))"
	@DESTDIR="$(DESTDIR)" meson install -C build/meson

clean:
	rm -rf build

.PHONY: help build demo check bench install clean
