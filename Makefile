# sbps-marshal: `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help demo test test-host test-spire test-lio lint bench bench-listing pictures fuzz install build setup image clean

PREFIX ?= /usr
FUZZ_SECONDS ?= 60
UNITDIR ?= /usr/lib/systemd/system
DOCDIR ?= $(PREFIX)/share/doc/sbps-marshal

export CARGO_TERM_COLOR ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The one binary of all lio_* tests, as cargo has just named it.
LIO_TEST = $$(cargo test --no-run --test lio --message-format=json 2>/dev/null | sed -n 's|.*"executable":"\([^"]*/lio-[^"]*\)".*|\1|p' | tail -n 1)
VM = tests/vm/run
SPIRE = $$(tests/spire/build)
KUBE = $$(tests/kube/build)
VM_FILES = --bin $(TARGET)/debug/sbps-marshal --file systemd/sbps-marshal.service --file monitoring \
	--bin "$(SPIRE)/spire-server" --bin "$(SPIRE)/spire-agent" --env SPIRE_BIN=/run/vm/bin

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup build image ## the main job in a throw-away VM: images become LUNs that an initiator mounts
	$(VM) demo $(VM_FILES) --bin "$(LIO_TEST):lio" -- sh -c 'site up && lio demo --nocapture --test-threads=1'

test: test-host test-spire test-lio ## all tests: unit, property, wire, with a real SPIRE, and in the VM

test-host: setup ## the tests that need no VM
	cargo test --workspace

test-spire: setup ## our identity from a real SPIRE server and agent on this host; builds both once, in five minutes
	bin=$(SPIRE); SPIRE_BIN=$$bin cargo test --test spire

test-lio: setup build image ## the tests on a real kernel, in two VMs; LIO_FILTER=name runs some of them
	tests/vm/suite "$(LIO_TEST)" "$(LIO_FILTER)" $(VM_FILES) --bin "$(KUBE)/kube-apiserver"

lint: setup ## format, clippy with warnings denied, and what the inside may depend on
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --test lio --test spire --bench lio --bench listing -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --quiet --workspace --no-deps
	tests/lint-inside
	cargo test --quiet --test house
	tests/lint-inside-test
	for script in tests/vm/setup tests/vm/image tests/vm/rootfs tests/vm/run tests/vm/matches tests/vm/suite tests/vm/no-secrets tests/spire/build tests/kube/build tests/lint-inside tests/lint-inside-test bench/run bench/listing fuzz/run .ci/run; do bash -n $$script; done

bench: setup image ## times and counts in the VM; writes bench/RESULTS.md
	cargo build --release --bin sbps-marshal
	cargo build --bench lio
	bench/run

bench-listing: setup ## what a bucket with up to a million foreign objects costs the agent, on this host; prints a table
	cargo build --release --bin sbps-marshal
	cargo build --bench listing
	bench/listing

pictures: setup build image ## docs/pictures from a run of the VM, and the text of the demo; needs Python
	VM_SHARDS=1 tests/vm/suite "$(LIO_TEST)" day::lio_every $(VM_FILES)
	python3 -m venv $(TARGET)/pictures && $(TARGET)/pictures/bin/pip install --quiet matplotlib==3.11.2
	$(TARGET)/pictures/bin/python docs/pictures/draw $(TARGET)/vm/lio-1/share/results
	$(MAKE) demo
	sed -n '/^running/,$$p' $(TARGET)/vm/demo/output.log >docs/demo.txt

fuzz: ## libFuzzer against each parser for FUZZ_SECONDS=60 each; needs cargo-fuzz
	fuzz/run $(FUZZ_SECONDS)

install: ## the release build into $(DESTDIR)$(PREFIX), with its unit, commented defaults, documents, Splunk app and license
	cargo build --release --bin sbps-marshal
	install -D -m 0755 $(TARGET)/release/sbps-marshal $(DESTDIR)$(PREFIX)/bin/sbps-marshal
	install -D -m 0644 systemd/sbps-marshal.service $(DESTDIR)$(UNITDIR)/sbps-marshal.service
	install -D -m 0644 systemd/config.d/00-defaults.toml $(DESTDIR)/etc/sbps-marshal/conf.d/00-defaults.toml
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR) README.md LICENSE
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/docs docs/*.md
	find splunk -type f -exec install -D -m 0644 {} $(DESTDIR)$(DOCDIR)/{} \;

build:
	cargo build --workspace
	cargo test --no-run --test lio

setup:
	@tests/vm/setup

image:
	@tests/vm/image >/dev/null

clean: ## everything built here, but not what is cached: the VM image, SPIRE, the API server
	cargo clean
