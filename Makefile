# make install | compiled | run | test | deb | bench | inside | lint | clean      (README.md says more)
# make install PREFIX=/usr/local [DESTDIR=...]               into the system, as root

SHELL := /bin/bash
PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin

# make run: what is served, where and for whom
PORT ?=
BIND ?= 127.0.0.1
SHARE ?= ./share
SMB_USER ?= ksmbd
SMB_PASSWORD ?=

# make test: extra arguments for pytest, for example ARGS='-m "not vm"'
ARGS ?=

# make install: into the system, where either is given; else into .venv/, for make run and make test
PREFIX ?=
DESTDIR ?=
SYSTEM_PYTHON ?= /usr/bin/python3

# make run | test | install COMPILED=yes: the hot modules as machine code, see docs/performance.md
COMPILED ?=
BUILT := build/compiled
COMPILED_FROM = Makefile pyproject.toml install/compiled.py \
    $(shell find ksmbd mountd control discovery -name '*.py')
WITH_COMPILED = $(if $(COMPILED),PYTHONSAFEPATH=1 PYTHONPATH='$(CURDIR)/$(BUILT):$(CURDIR)')

# the tests' Kerberos libraries are C extensions, which have no wheels
BUILD_PACKAGES := gcc libc6-dev
# smbclient, rpcclient, smbtorture and testparm; the guest of tests/vm and the Samba of bench/
# are unpacked into a cache folder and not installed
TEST_PACKAGES := smbclient samba-common-bin samba-testsuite acl attr cpio git iproute2 \
    krb5-kdc krb5-admin-server krb5-user libkrb5-dev tshark

.PHONY: install compiled run test deb bench inside lint clean
.DEFAULT_GOAL := install

ifeq ($(PREFIX)$(DESTDIR),)
install: $(VENV)/installed
else
install: $(if $(COMPILED),compiled)
	@$(SYSTEM_PYTHON) -B -m install.layout --prefix '$(or $(PREFIX),/usr)' \
	    --destdir '$(DESTDIR)' --python '$(SYSTEM_PYTHON)' $(if $(COMPILED),--compiled '$(BUILT)')
endif

compiled: $(BUILT)/ksmbd/compiled.json

$(BUILT)/ksmbd/compiled.json: $(COMPILED_FROM) | $(VENV)/compile-installed
	@$(BIN)/python -m install.compiled $(BUILT)

deb:
	@$(PYTHON3) -B -m install.deb
run: export PORT := $(PORT)
run: export BIND := $(BIND)
run: export SHARE := $(SHARE)
run: export SMB_USER := $(SMB_USER)
run: export SMB_PASSWORD := $(SMB_PASSWORD)
run: $(VENV)/installed $(if $(COMPILED),compiled)
	@$(WITH_COMPILED) exec $(BIN)/python -m control.quickstart

test: $(VENV)/test-installed $(if $(COMPILED),compiled)
	@mkdir -p .cache
	@$(WITH_COMPILED) $(BIN)/python -m pytest $(if $(COMPILED),--import-mode=append) $(ARGS)

bench: $(VENV)/installed
	@.ci/apt gcc
	@exec $(BIN)/python -m bench $(ARGS)

inside: $(VENV)/test-installed $(if $(COMPILED),compiled)
	@$(WITH_COMPILED) exec $(BIN)/python -m bench.inside $(ARGS)

lint: $(VENV)/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .run .cache build ./*.egg-info

# Stamps inside the environment: gone with it, older than what they depend on when that changes.
$(VENV)/bin/python: | .ci/apt
	@.ci/apt $$(command -v $(PYTHON3) >/dev/null || echo python3)
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; name one: make PYTHON3=python3.12" >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip, venv' 2>/dev/null || .ci/apt python3-venv
	$(PYTHON3) -m venv $(VENV)

$(VENV)/installed: pyproject.toml Makefile .ci/apt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test-installed: $(VENV)/installed
	@.ci/apt $(BUILD_PACKAGES) $(TEST_PACKAGES)
	@[ -f "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || \
	    .ci/apt python3-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(VENV)/compile-installed: $(VENV)/installed
	@.ci/apt $(BUILD_PACKAGES)
	@[ -f "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || \
	    .ci/apt python3-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[compile]'
	@touch $@
