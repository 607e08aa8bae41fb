# sbps-marshal: `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL: # make -j clean rpm
.PHONY: help demo test test-host test-spire test-lio test-packages lint bench bench-listing pictures first-hour fuzz install rpm deb tar release release-build build setup image clean

PREFIX ?= /usr
FUZZ_SECONDS ?= 60
UNITDIR ?= /usr/lib/systemd/system
TMPFILESDIR ?= /usr/lib/tmpfiles.d
DOCDIR ?= $(PREFIX)/share/doc/sbps-marshal
LICENSEDIR ?= $(DOCDIR)

export CARGO_TERM_COLOR ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The one binary of a test that is taken into the VM, as cargo has just named it.
test_program = $$(cargo test --no-run --test $(1) --message-format=json 2>/dev/null | sed -n 's|.*"executable":"\([^"]*/$(1)-[^"]*\)".*|\1|p' | tail -n 1)
LIO_TEST = $(call test_program,lio)
PACKAGES_TEST = $(call test_program,packages)
VM = tests/vm/run
SPIRE = $$(tests/spire/build)
KUBE = $$(tests/kube/build)
VM_FILES = --bin $(TARGET)/debug/sbps-marshal --file systemd/sbps-marshal.service --file monitoring \
	--bin "$(SPIRE)/spire-server" --bin "$(SPIRE)/spire-agent" --env SPIRE_BIN=/run/vm/bin

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup build image ## the main job in a throw-away VM: images become LUNs that an initiator mounts
	$(VM) demo $(VM_FILES) --bin "$(LIO_TEST):lio" -- sh -c 'site up && lio demo --nocapture --test-threads=1'

test: test-host test-spire test-lio test-packages ## all tests: unit, property, wire, with a real SPIRE, in the VM, of the packages

test-host: setup ## the tests that need no VM
	cargo test --workspace

test-spire: setup ## our identity from a real SPIRE server and agent on this host; builds both once, in five minutes
	bin=$(SPIRE); SPIRE_BIN=$$bin cargo test --test spire

test-lio: setup build image ## the tests on a real kernel, in two VMs; LIO_FILTER=name runs some of them
	tests/vm/suite "$(LIO_TEST)" "$(LIO_FILTER)" $(VM_FILES) --bin "$(KUBE)/kube-apiserver"

test-packages: setup ## the packages: built, looked at, installed in the VM; PACKAGES_FILTER=name runs some of the tests
	tests/setup release rpm deb packages
	cargo test -p manuals --test rendered
	cargo test --no-run --test packages
	tests/packages/run "$(PACKAGES_TEST)" "$(PACKAGES_FILTER)"

lint: setup ## format, clippy with warnings denied, and what the inside may depend on
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --test lio --test spire --test packages --bench lio --bench listing -- -D warnings
	cargo clippy -p manuals --test rendered -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --quiet --workspace --no-deps
	tests/lint-inside
	cargo test --quiet --test house
	tests/lint-inside-test
	for script in $$(grep -rlE '^#!.*bash' .ci bench fuzz packaging tests | sort); do bash -n $$script; done

bench: setup image ## times and counts in the VM, an hour; writes bench/RESULTS.md; BENCH=quick prints some of them in 5 minutes
	cargo build --release --bin sbps-marshal
	cargo build --bench lio
	bench/run $(BENCH)

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

first-hour: setup image ## docs/first-hour.md, from a run of the VM
	tests/setup release rpm deb
	cargo test --no-run --test packages
	tests/packages/run "$(PACKAGES_TEST)" first_hour::lio || true
	cp $(TARGET)/vm/packages/share/results/first-hour.md docs/first-hour.md

fuzz: ## libFuzzer against each parser for FUZZ_SECONDS=60 each; needs cargo-fuzz
	fuzz/run $(FUZZ_SECONDS)

# What is installed, by hand or into a package. BINARIES: the folder of another build.
BINARIES ?= $(TARGET)/release
install: $(if $(filter file,$(origin BINARIES)),release-build) ## into $(DESTDIR)$(PREFIX): program, unit, commented defaults, manuals, completions, documents, dashboards
	install -D -m 0755 $(BINARIES)/sbps-marshal $(DESTDIR)$(PREFIX)/bin/sbps-marshal
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/usr/share/|$(PREFIX)/share/|g' systemd/sbps-marshal.service | \
		install -D -m 0644 /dev/stdin $(DESTDIR)$(UNITDIR)/sbps-marshal.service
	install -D -m 0644 systemd/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/sbps-marshal.conf
	defaults=$(DESTDIR)/etc/sbps-marshal/conf.d/00-defaults.toml; cmp -s systemd/config.d/00-defaults.toml $$defaults || \
		install -D -m 0644 systemd/config.d/00-defaults.toml $$defaults$$([[ ! -e $$defaults ]] || echo .new) # as it was edited
	source packaging/environment; $(BINARIES)/manuals $(DESTDIR)$(PREFIX)
	install -D -m 0644 LICENSE $(DESTDIR)$(LICENSEDIR)/LICENSE
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR) README.md CHANGELOG.md CONTRIBUTING.md
	find docs bench/RESULTS.md $(wildcard bench/*.svg) -type f -name '*.*' -exec install -D -m 0644 {} $(DESTDIR)$(DOCDIR)/{} \;
	find splunk monitoring systemd/lio-engine-configfs.conf -type f -exec install -D -m 0644 {} $(DESTDIR)$(PREFIX)/share/sbps-marshal/{} \;
	rm -rf $(DESTDIR)$(DOCDIR)/splunk $(DESTDIR)$(DOCDIR)/monitoring
	ln -sr $(DESTDIR)$(PREFIX)/share/sbps-marshal/{splunk,monitoring} $(DESTDIR)$(DOCDIR)/ # where the documents look for them

rpm: ## dist/rpmbuild/RPMS/<arch>/*.rpm, for the SUSE and Fedora families; the program runs on glibc 2.31 or later
	@tests/setup release rpm
	@packaging/rpm/build

deb: ## dist/deb/*.deb, of the same program
	@tests/setup release deb
	@packaging/deb/build

tar: ## dist/tar/*.tar.gz, of the same program, for any other system
	@tests/setup release
	@packaging/tar

release: ## everything that VERSION=x.y.z is, in dist/release; checks, tests and builds twice
	packaging/release "$(VERSION)"

release-build:
	cargo build --release --bin sbps-marshal
	cargo build --release -p manuals

build:
	cargo build --workspace
	cargo test --no-run --test lio

setup:
	@tests/setup

image:
	@tests/vm/image >/dev/null

clean: ## everything built here, but not what is cached: the VM image, SPIRE, the API server
	cargo clean
	rm -rf dist
