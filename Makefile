# SPDX-License-Identifier: Apache-2.0
# A thin face on Meson and the scripts in tools/. Each target installs what it needs on Debian 12.

PREFIX ?= /usr/local
PARTS ?=
ARGS ?=
SECONDS ?= 60

help:
	@echo 'make build    build the programs into build/bin/'
	@echo 'make demo     show the main job on this machine: discover a node, attach, verify, detach'
	@echo 'make check    run all tests and checks; PARTS="unit functional" for some (tools/check.sh -l)'
	@echo 'make check-systemd  boot a node with systemd in a guest, kill what runs there, boot it again'
	@echo 'make crash    cut the power under Blobstore, for long; ARGS="--operation NAME --seed N"'
	@echo 'make fuzz     feed Blobstore damaged images; SECONDS=60'
	@echo 'make bench    measure, as ratios against bare programs'
	@echo 'make install  install to PREFIX (/usr/local), below DESTDIR'
	@echo 'make uninstall  remove what make install put there'
	@echo 'make clean    remove build/'

build:
	@tools/build.sh

demo: build
	@tools/demo.sh

check:
	@tools/check.sh $(PARTS)

check-systemd:
	@tools/check.sh build systemd

crash: build
	@tools/crash.sh $(ARGS)

fuzz:
	@tools/fuzz.sh $(SECONDS)

bench: build
	@tools/install-deps.sh build bench
	@bench/run.sh

install: build
	@meson configure build/meson -Dprefix="$(abspath $(PREFIX))"
	@DESTDIR="$(DESTDIR)" meson install -C build/meson
	@cat build/meson/meson-logs/install-log.txt >>build/installed

uninstall:
	@tools/uninstall.sh

clean:
	rm -rf build

.PHONY: help build demo check check-systemd crash fuzz bench install uninstall clean
