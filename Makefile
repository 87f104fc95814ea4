# Everything that a person or CI runs. `make help` lists the targets. Their results are in bin/ and build/.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-print-directory

# The PATH under sudo seldom has Go on it.
GO := $(firstword $(shell PATH="$$PATH:/usr/local/go/bin:/usr/lib/go/bin:/snap/bin" command -v go) go)

STATICCHECK_VERSION := v0.8.2
GOVULNCHECK_VERSION := v1.9.0
NFPM_VERSION        := v2.45.2
CYCLONEDX_VERSION   := v1.9.0
CONTAINERD_VERSION  := v2.4.2

BIN     := bin/sallyport
BUILD   := $(CURDIR)/build
TOOLS   := $(BUILD)/tools
NEWEST  := $(BUILD)/containerd-newest
STATIC  := build/static
IMAGES  := $(patsubst %,build/images/%.tar,busybox web shipper haproxy rsyslog)
TEST_IMAGES := $(patsubst %,build/images/%.tar,dnsmasq squid)
# What the groups of integration/field run, each with busybox beside it. mkimage has the words of these lists.
field-alertmanager := --whole prometheus-alertmanager
field-blackbox     := --debian prometheus-blackbox-exporter=/usr/bin/prometheus-blackbox-exporter
field-busybox      :=
field-chromium     := --whole chromium --whole chromium-common --whole libnss3 --whole fontconfig-config --whole fonts-dejavu-core
field-dnsmasq      := --debian dnsmasq-base=/usr/sbin/dnsmasq
field-haproxy      := --debian haproxy=/usr/sbin/haproxy
field-memcached    := --debian memcached=/usr/bin/memcached
field-mosquitto    := --debian mosquitto=/usr/sbin/mosquitto --debian mosquitto-clients=/usr/bin/mosquitto_pub --debian mosquitto-clients=/usr/bin/mosquitto_sub
field-nginx        := --whole nginx --whole nginx-common
field-node         := $(foreach p,nodejs libnode108 node-acorn node-busboy node-cjs-module-lexer node-undici node-xtend,--whole $p)
field-node-exporter := --debian prometheus-node-exporter=/usr/bin/prometheus-node-exporter
field-php          := --debian php8.2-fpm=/usr/sbin/php-fpm8.2
field-postgres     := --whole postgresql-15 --whole postgresql-client-15 --whole tzdata --whole libc-bin --without '/usr/lib/postgresql/15/lib/*/bitcode' \
	--without /usr/lib/postgresql/15/lib/bitcode --without '/usr/lib/postgresql/15/lib/llvmjit*'
field-postgres-exporter := --debian prometheus-postgres-exporter=/usr/bin/prometheus-postgres-exporter
field-prometheus   := --debian prometheus=/usr/bin/prometheus
field-pushgateway  := --debian prometheus-pushgateway=/usr/bin/prometheus-pushgateway
field-python       := --whole python3-minimal --whole python3.11-minimal --whole python3.11 --whole libpython3.11-minimal --whole libpython3.11-stdlib --whole libssl3
field-redis        := --whole redis-server --whole redis-tools
field-redis-exporter := --debian prometheus-redis-exporter=/usr/bin/prometheus-redis-exporter
field-restic       := --debian restic=/usr/bin/restic
field-rsyslog      := --debian 'rsyslog=/usr/sbin/rsyslogd:/usr/lib/*/rsyslog/imfile.so:/usr/lib/*/rsyslog/lmnet.so:/usr/lib/*/rsyslog/lmnetstrms.so:/usr/lib/*/rsyslog/lmnsd_ptcp.so:/usr/lib/*/rsyslog/lmtcpclt.so:/usr/lib/*/rsyslog/lmregexp.so'
field-squid        := --whole squid --whole squid-common
field-stunnel      := --whole stunnel4 --whole libgcc-s1
FIELD_IMAGES := $(patsubst field-%,build/images/field/%.tar,$(filter field-%,$(.VARIABLES)))
VERSION := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo devel)

# Under sudo the tree belongs to another user, so Go can't ask git for the version. It comes from here instead.
# Everything but -race is built without cgo, so that binary, tests and images share one build cache.
export GOFLAGS := $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false
export CGO_ENABLED := 0
export PATH := $(dir $(GO)):$(PATH):/usr/sbin:/sbin:$(TOOLS)

# The packages whose tests need a real containerd, and all others.
INTEGRATION   := $(addprefix github.com/sallyport/sallyport/integration/,crash life promise)
UNIT_PACKAGES  = $(filter-out $(INTEGRATION),$(shell $(GO) list ./...))

# The tests that need root find these by their environment.
export SALLYPORT_BIN := $(CURDIR)/bin/sallyport
export SALLYPORT_FAILPOINT_BIN := $(BUILD)/sallyport-failpoint
export SALLYPORT_IMAGES := $(BUILD)/images
export SALLYPORT_CONTAINERD_NEWEST := $(NEWEST)

# command:packages. The command is looked for, because the package may be another vendor's.
RUN_NEEDS   := containerd:containerd runc:runc ip:iproute2 nft:nftables nsenter:util-linux
TEST_NEEDS  := crun:crun gcc:gcc,libc6-dev git:git busybox:busybox-static zsh:zsh fish:fish systemd-analyze:systemd mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs
BENCH_NEEDS := perf:linux-perf
PEER_NEEDS  := podman:podman,catatonit dockerd:docker.io docker-compose:docker-compose

##@ Two commands

.PHONY: demo
demo: deps build images $(STATIC)/payments $(STATIC)/web ## Run the checkout example with comments; needs root, leaves nothing
	@$(give-back)
	@examples/checkout/demo.sh

.PHONY: test
test: deps deps-test lint test-unit images newest build test-root integration ## Run every check and all tiers of tests; needs root
	@$(give-back)

##@ Build

.PHONY: build
build: | go ## Build bin/sallyport
	@$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/sallyport

.PHONY: failpoint
failpoint: | go ## Build build/sallyport-failpoint, which kills itself at chosen points, for the crash tests
	@$(GO) build -trimpath -tags failpoint -o $(SALLYPORT_FAILPOINT_BIN) ./cmd/sallyport

.PHONY: images
images: $(IMAGES) ## Build the examples' images into build/images

.PHONY: newest
newest: $(NEWEST)/$(CONTAINERD_VERSION) ## Build the newest containerd, for tests, into build/containerd-newest

.PHONY: deps
deps: ## Install what Sallyport needs to run, where it is missing (Debian, root)
	@$(call need,$(RUN_NEEDS))

.PHONY: deps-test
deps-test: $(TOOLS)/docker-registry ## Install what the tests need in addition
	@$(call need,$(TEST_NEEDS))

.PHONY: deps-bench
deps-bench: ## Install what the benchmarks need in addition
	@$(call need,$(BENCH_NEEDS))

.PHONY: deps-peers
deps-peers: ## Install podman, docker and docker-compose, which bench-peers measures too
	@$(call need,$(PEER_NEEDS))

##@ Install and packages

# Packagers set DESTDIR, and PREFIX=/usr. The units name the program by its full path.
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
UNITDIR ?= $(PREFIX)/lib/systemd/system
SHARE   := $(PREFIX)/share
UNITS   := $(notdir $(wildcard cmd/sallyport/*.service))

.PHONY: install
install: build pages ## Install the program, its systemd units, manual pages and the folder of group files; enables and starts nothing
	@$(give-back)
	@install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SHARE)/{man,bash-completion,fish,zsh}
	@install -d $(DESTDIR)/etc/sallyport/groups.d $(DESTDIR)/etc/default
	@install -m 755 $(BIN) $(DESTDIR)$(BINDIR)/.sallyport.new && mv -f $(DESTDIR)$(BINDIR)/.sallyport.new $(DESTDIR)$(BINDIR)/sallyport
	@for unit in $(UNITS); do sed 's,/usr/bin/sallyport,$(BINDIR)/sallyport,' cmd/sallyport/$$unit > $(DESTDIR)$(UNITDIR)/$$unit && chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; done
	@cd $(BUILD)/pages && find . -type f -exec install -D -m 644 {} $(DESTDIR)$(SHARE)/{} \;
	@[ -e $(DESTDIR)/etc/default/sallyport ] || install -m 644 cmd/sallyport/package/default $(DESTDIR)/etc/default/sallyport
	@for file in $(wildcard cmd/sallyport/sallyport.hcl); do \
		[ -e $(DESTDIR)/etc/sallyport/sallyport.hcl ] || install -m 644 $$file $(DESTDIR)/etc/sallyport/sallyport.hcl; done
	@[ -n "$(DESTDIR)" ] || ! [ -d /run/systemd/system ] || { systemctl daemon-reload; \
		echo "type: systemctl enable --now sallyport; after an upgrade: systemctl restart sallyport"; }

.PHONY: uninstall
uninstall: pages ## Remove what install made; groups that run, their files and their state stay
	@[ -n "$(DESTDIR)" ] || ! [ -d /run/systemd/system ] || systemctl disable --now sallyport.service
	@rm -f $(DESTDIR)$(BINDIR)/sallyport $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS))
	@cd $(BUILD)/pages && find . -type f -exec rm -f $(DESTDIR)$(SHARE)/{} \;
	@[ -n "$(DESTDIR)" ] || ! [ -d /run/systemd/system ] || systemctl daemon-reload

# Manual pages and completions, for this machine to run. GOARCH is the package's.
.PHONY: pages
pages: | go
	@rm -rf $(BUILD)/pages
	@GOARCH= $(GO) run -tags pages ./cmd/sallyport $(BUILD)/pages sallyport-group=spec/REFERENCE.md \
		$(addprefix sallyport.hcl=,$(wildcard docs/configuration.md))

ARCHES  := amd64 arm64
RPM_amd64 := x86_64
RPM_arm64 := aarch64
RELEASE := $(BUILD)/release

# v1.2.3-4-gabc, after the tag, is 1.2.3+4.gabc, and v1.2.3-rc.1, before it, is 1.2.3~rc.1. Without a tag the time of the commit
# is first. So versions sort by age.
SOURCE_DATE_EPOCH ?= $(shell git -c safe.directory='*' log -1 --format=%ct 2>/dev/null || echo 0)
PACKAGE_VERSION   := $(shell echo '$(VERSION)' | sed -E '/^v[0-9]/!s/^/v0~$(SOURCE_DATE_EPOCH)+/; s/^v//; s/-dirty$$/+dirty/; s/-([0-9]+)-g/+\1.g/; s/-/~/')
export SOURCE_DATE_EPOCH PACKAGE_VERSION

.PHONY: package
package: $(addprefix package-,$(ARCHES)) ## Build .deb and .rpm into build/release
	@$(give-back)
	@ls build/release/*.deb build/release/*.rpm

.PHONY: $(addprefix package-,$(ARCHES))
$(addprefix package-,$(ARCHES)): package-%: $(TOOLS)/nfpm-$(NFPM_VERSION)
	@umask 022; dir=$(BUILD)/package/$*; rm -rf $$dir; mkdir -p $$dir $(RELEASE); \
	GOARCH=$* $(MAKE) install BIN=$$dir/sallyport DESTDIR=$$dir/root PREFIX=/usr; \
	install -D -m 644 LICENSE $$dir/root/usr/share/doc/sallyport/copyright; \
	find $$dir/root/usr/share/man -type f -exec gzip -9n {} +; \
	cp -r cmd/sallyport/package $$dir/scripts; \
	(cd $$dir && find root/etc -type f -printf '  - {src: %p, dst: /etc/%P, type: config|noreplace}\n' | sort >> scripts/nfpm.yaml); \
	find $$dir -exec touch -h -d @$(SOURCE_DATE_EPOCH) {} +; \
	rm -f $(RELEASE)/sallyport_*_$*.deb $(RELEASE)/sallyport-*.$(RPM_$*).rpm; \
	for format in deb rpm; do \
		(cd $$dir && ARCH=$* $< package -f scripts/nfpm.yaml -p $$format -t $(RELEASE)/ >/dev/null); \
	done

.PHONY: release
release: package $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) ## Build packages, archives, their CycloneDX lists of modules, and checksums
	@umask 022; cd $(RELEASE); rm -f *.tar.gz *.cdx.json SHA256SUMS; \
	for arch in $(ARCHES); do \
		name=sallyport-$(PACKAGE_VERSION)-linux-$$arch; \
		tar c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(SOURCE_DATE_EPOCH) --transform "s,^\.,$$name," \
			-C $(BUILD)/package/$$arch/root . | gzip -9n > $$name.tar.gz; \
		$(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) bin -json -noserial -std -version $(PACKAGE_VERSION) $(BUILD)/package/$$arch/sallyport | \
			sed "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$$(date -u -d @$(SOURCE_DATE_EPOCH) +%FT%TZ)\"/" > $$name.cdx.json; \
	done; \
	sha256sum -- *.deb *.rpm *.tar.gz *.cdx.json > SHA256SUMS
	@$(give-back)

##@ Checks and tests

.PHONY: lint
lint: fmt vet staticcheck tidy ## Run all checks that are no tests

.PHONY: fmt
fmt: | go ## Check formatting
	@bad=$$($(dir $(GO))gofmt -l $$(git -c safe.directory='*' ls-files '*.go')); if [ -n "$$bad" ]; then echo "not formatted, run gofmt -w on:"; echo "$$bad"; exit 1; fi

.PHONY: vet
vet: | go ## Run go vet
	@$(GO) vet ./...
	@$(GO) vet -tags failpoint,pages ./cmd/...

.PHONY: staticcheck
staticcheck: $(TOOLS)/staticcheck-$(STATICCHECK_VERSION) ## Run staticcheck
	@$< ./...
	@$< -tags failpoint,pages ./cmd/...

.PHONY: tidy
tidy: | go ## Check that go mod tidy would change nothing
	@$(GO) mod tidy -diff

.PHONY: vuln
vuln: $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION) ## Look for known vulnerabilities, where their database can be reached
	@status=0; $< ./... || status=$$?; \
	case $$status in \
	0) ;; \
	3) exit 3 ;; \
	*) echo "vuln: nothing was checked, because the vulnerability database can't be reached from here" ;; \
	esac

# These start the command hundreds of times. With the race detector that takes ten times as long,
# and finds nothing: a command that starts and ends has hardly two goroutines.
SHORT_COMMANDS := ^(TestScripts|TestScreens|TestTalk)$$

# These are pure, and the race detector makes them four times as long.
PURE_PACKAGES := ./spec ./integration/tree

.PHONY: test-unit
test-unit: deps-test | go ## Run the tests that need no root, with the race detector
	@CGO_ENABLED=1 $(GO) test -race -timeout 5m -skip '^TestRoot|^TestField$$|$(SHORT_COMMANDS)' $(filter-out $(PURE_PACKAGES:.%=github.com/sallyport/sallyport%),$(UNIT_PACKAGES))
	@$(GO) test -timeout 5m -skip '^TestRoot' $(PURE_PACKAGES)
	@$(GO) test -timeout 5m -run '$(SHORT_COMMANDS)' ./cmd/sallyport
	@CGO_ENABLED=1 $(GO) test -race -tags failpoint -run '^TestFailpoint' ./cmd/sallyport

.PHONY: test-root
test-root: build images newest ## Run the tests that need root: namespaces, rules, containerd's side of the adapter
	@$(GO) test -count 1 -p 2 -timeout 8m -run '^TestRoot' $(UNIT_PACKAGES)

# Three packages at the same time: most of their time is waiting.
.PHONY: integration
integration: build failpoint images $(TEST_IMAGES) newest $(STATIC)/payments $(STATIC)/web ## Run the built binary against a real containerd, runc and kernel
	@$(GO) test -count 1 -timeout 20m -p 3 -skip '^TestUpgrade$$' $(INTEGRATION)

# TestPromiseChurn does STARTS starts, RESTARTS restarts and KILLS kills in SLICES slices, each on a machine of its own. That takes
# a quarter of an hour on two cores. STARTS=100 RESTARTS=100 KILLS=20 SLICES=1 is one slice of ten. Then TestLifeSoak does
# SOAK_ACTIONS things to each of SOAK_GROUPS groups, and kills SOAK_KILLS processes meanwhile.
# TestRunsSoak runs SOAK_RUNS jobs, and kills SOAK_RUN_KILLS daemons and SOAK_CALLER_KILLS callers. TestRandomOrders does ORDERS orders.
# SALLYPORT_ORDERS_SEED repeats those of an earlier run.
STARTS       ?= 1000
RESTARTS     ?= 1000
KILLS        ?= 200
SLICES       ?= 10
SOAK_GROUPS  ?= 20
SOAK_ACTIONS ?= 40
SOAK_KILLS   ?= 100
SOAK_RUNS    ?= 300
SOAK_RUN_KILLS    ?= 30
SOAK_CALLER_KILLS ?= 60
ORDERS       ?= 200

.PHONY: soak
soak: build failpoint images ## Start, restart and kill many times while members try to leave; needs root
	@$(GO) test -count 1 -timeout 60m -v -run '^TestPromiseChurn$$' ./integration/promise \
		-starts $(STARTS) -restarts $(RESTARTS) -kills $(KILLS) -slices $(SLICES)
	@$(GO) test -count 1 -timeout 60m -v -run '^TestLifeSoak$$' ./integration/crash \
		-groups $(SOAK_GROUPS) -actions $(SOAK_ACTIONS) -kills $(SOAK_KILLS)
	@$(GO) test -count 1 -timeout 60m -v -run '^TestRunsSoak$$' ./integration/crash \
		-runs $(SOAK_RUNS) -run-kills $(SOAK_RUN_KILLS) -caller-kills $(SOAK_CALLER_KILLS)
	@$(MAKE) orders

.PHONY: orders
orders: build failpoint images ## Fill the disk, damage state, kill, stop, apply and remove in random orders; needs root
	@$(GO) test -count 1 -timeout 120m -v -run '^TestRandomOrders$$' ./integration/crash -orders $(ORDERS)

# The groups name their images by build/images/field. GROUPS=squid runs that one alone.
GROUPS ?= .*

.PHONY: test-field
test-field: deps build $(FIELD_IMAGES) ## Run twenty-one groups that look like what people publish, with Debian's programs; needs root
	@SALLYPORT_FIELD=1 $(GO) test -count 1 -timeout 30m -v -run '^TestField$$/^$(GROUPS)$$' ./integration/field

# The older daemon is built from this repository's history. A shallow clone lacks it.
OLDER ?= f178dc0

.PHONY: test-upgrade
test-upgrade: build newest ## Check that the daemon takes over the groups of the daemon of commit OLDER; needs root and the history
	@rm -rf $(BUILD)/older && mkdir -p $(BUILD)/older
	@git -c safe.directory='*' archive $(OLDER) | tar x -C $(BUILD)/older
	@cd $(BUILD)/older && $(GO) build -trimpath -o sallyport ./cmd/sallyport
	@SALLYPORT_OLDER_BIN=$(BUILD)/older/sallyport $(GO) test -count 1 -timeout 5m -run '^TestUpgrade$$' ./integration/life

# A whole machine in qemu, with systemd, a pure cgroup v2, a clock and a power switch. Its image stays in VMHOST_HOME.
export VMHOST_HOME ?= $(BUILD)/vmhost

# PARTS=crun runs that part alone.
PARTS ?= life service containerd crun

.PHONY: test-host
test-host: build $(VMHOST_HOME)/root.img build/images/busybox.tar build/images/attack.tar ## Run the tests that need a whole host, in a Debian machine in qemu; needs root
	@rm -rf $(BUILD)/host && mkdir -p $(BUILD)/host/bin $(BUILD)/host/build/images
	@cp integration/host/*.sh integration/host/*.hcl $(BUILD)/host && cp bin/sallyport $(BUILD)/host/bin && cp build/images/{busybox,attack}.tar $(BUILD)/host/build/images
	@for package in $(addprefix netns/,egress watch) $(addprefix shim/linux/,disks inside network quota volumes); do $(GO) test -c -o $(BUILD)/host/$${package##*/}.test ./$$package; done
	@mkfs.ext4 -q -O project,quota -E quotatype=prjquota $(BUILD)/host/bounded.img 1G
	@$(MAKE) install DESTDIR=$(BUILD)/host/root PREFIX=/usr
	@cd $(BUILD)/host && $(call with-lists,apt-get download -qq -o APT::Sandbox::User=root crun libyajl2)
	@for part in $(PARTS); do VMHOST_TIMEOUT=3000 integration/host/vmhost run $(BUILD)/host ./$$part.sh; done

# Two packages that differ in their versions alone.
.PHONY: test-package
test-package: $(VMHOST_HOME)/root.img build/images/busybox.tar ## Install, upgrade, remove and purge the Debian package in that machine; needs root
	@rm -rf $(BUILD)/host && mkdir -p $(BUILD)/host/build/images
	@for version in older.v0.0.1 newer.v0.0.2; do \
		$(MAKE) package-amd64 VERSION=$${version#*.} PACKAGE_VERSION=$${version#*.v} RELEASE=$(BUILD)/host/release; \
		mv $(BUILD)/host/release/*.deb $(BUILD)/host/$${version%%.*}.deb; \
	done
	@cp integration/host/{checks.sh,package.*} $(BUILD)/host && cp build/images/busybox.tar $(BUILD)/host/build/images
	@VMHOST_TIMEOUT=2400 integration/host/vmhost run $(BUILD)/host ./package.sh

# An arm64 machine, wherever this runs. Its image stays in VMHOST_HOME too.
ARM64 := $(BUILD)/arm64

.PHONY: test-arm64
test-arm64: package-arm64 $(VMHOST_HOME)/arm64/root.img $(addprefix $(ARM64)/,busybox.tar haproxy.tar attack.tar) ## Install the package on an arm64 Debian machine in qemu, and run the first example there; needs root
	@rm -rf $(BUILD)/host && mkdir -p $(BUILD)/host
	@cp integration/host/{checks.sh,arm64.*} examples/first/{first.hcl,haproxy.cfg} $(ARM64)/{*.tar,attack} $(BUILD)/host
	@cp $(RELEASE)/sallyport_*_arm64.deb $(BUILD)/host/sallyport.deb
	@VMHOST_ARCH=arm64 VMHOST_HOME=$(VMHOST_HOME)/arm64 VMHOST_TIMEOUT=3600 integration/host/vmhost run $(BUILD)/host ./arm64.sh

.PHONY: test-release
test-release: $(TOOLS)/nfpm-$(NFPM_VERSION) $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) ## Check that two builds of release are the same, and look into the packages
	@VERSION=$(VERSION) TOOLS=$(TOOLS) cmd/sallyport/package/check.sh $(BUILD)/twice

.PHONY: bench
bench: deps-bench build images newest ## Measure start-up, memory, and the cost per packet; needs root, takes a quarter of an hour
	@$(GO) test -count 1 -timeout 10m -p 1 -run '^$$' -bench 'Apply|Floor' -benchtime 20x ./integration/life ./shim/ctrd
	@$(GO) test -count 1 -timeout 10m -run '^$$' -bench Memory -benchtime 1x ./integration/life
	@$(GO) test -count 1 -timeout 10m -run '^$$' -bench Adopt -benchtime 5x ./integration/life
	@$(GO) test -count 1 -timeout 10m -run '^$$' -bench 'Scale|AtOnce' -benchtime 1x ./integration/life
	@$(GO) test -count 1 -timeout 10m -p 1 -run '^$$' -bench 'Root(Namespace|Loopback|Share|Intercept|Refused|Path|Groups|Ports)' -benchtime 1x ./netns/egress ./netns/uplink

# A shim for each group takes some 4 MiB, so the largest number of groups has one for all.
.PHONY: bench-scale
bench-scale: deps-bench build images newest ## Measure the daemon with up to 1,000 groups; needs root and 8 GiB, takes about an hour
	@$(GO) test -count 1 -timeout 60m -run '^$$' -bench Scale -benchtime 1x ./integration/life -scale 20,200
	@$(GO) test -count 1 -timeout 90m -run '^$$' -bench Scale -benchtime 1x ./integration/life -scale 20,200,500,1000 -shim host
	@$(GO) test -count 1 -timeout 30m -run '^$$' -bench AtOnce -benchtime 5x ./integration/life

.PHONY: bench-peers
bench-peers: deps-peers build images newest ## Measure apply and run beside podman, docker and compose, turn by turn; installs them, so take a machine for it
	@$(GO) test -count 1 -timeout 30m -run '^$$' -bench Peers -benchtime 20x ./integration/life

##@ The rest

.PHONY: clean
clean: ## Remove bin/ and build/
	rm -rf bin build

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

# --- files ---

# The programs that make file systems are for the tests of project quotas.
$(VMHOST_HOME)/root.img: integration/host/vmhost
	@mkdir -p $(@D) && $< build e2fsprogs xfsprogs apparmor && touch $@

$(VMHOST_HOME)/arm64/root.img: integration/host/vmhost
	@mkdir -p $(@D) && VMHOST_ARCH=arm64 VMHOST_HOME=$(@D) $< build && touch $@

# apt's lists of arm64 packages, beside those of this machine.
$(ARM64)/apt.conf: integration/host/vmhost
	@$(call need,qemu-aarch64-static:qemu-user-static)
	@mkdir -p $(ARM64)/apt/lists/partial && apt-get update -qq && $< sources > $(ARM64)/sources.list
	@printf '%s;\n' 'APT::Architecture "arm64"' 'APT::Architectures {"arm64"}' 'Dir::State "$(ARM64)/apt"' 'Dir::State::status "/dev/null"' \
		'Dir::Cache "$(ARM64)/apt"' 'Dir::Etc::sourcelist "$(ARM64)/sources.list"' 'Dir::Etc::sourceparts "/dev/null"' > $@

$(ARM64)/%.tar: private lists-for := export APT_CONFIG=$(ARM64)/apt.conf;
$(ARM64)/%.tar: private image-for := --arch arm64 --emulator qemu-aarch64-static
$(addprefix $(ARM64)/,busybox.tar haproxy.tar attack.tar): | $(ARM64)/apt.conf

# A static program of the examples.
$(STATIC)/%: go.mod | go
	@$(GO) build -trimpath -ldflags "-s -w" -o $@ ./examples/checkout/$*

$(STATIC)/payments: $(wildcard examples/checkout/payments/*.go)
$(STATIC)/web: $(wildcard examples/checkout/web/*.go)
$(STATIC)/shipper: $(wildcard examples/checkout/shipper/*.go)

build/images/web.tar: $(STATIC)/web $(TOOLS)/mkimage | build/images
	@$(TOOLS)/mkimage -o $@ --entrypoint /web --cmd serve --user 65532:65532 $<:/web

build/images/shipper.tar: $(STATIC)/shipper $(TOOLS)/mkimage | build/images
	@$(TOOLS)/mkimage -o $@ --entrypoint /shipper --user 65532:65532 $<:/shipper

build/images/haproxy.tar $(ARM64)/haproxy.tar: $(TOOLS)/mkimage | build/images
	@$(lists-for) $(call with-lists,$(TOOLS)/mkimage -o $@ $(image-for) --debian haproxy=/usr/sbin/haproxy --user 65532:65532 --stop-signal SIGUSR1 \
		--entrypoint /usr/sbin/haproxy --cmd=-db --cmd=-f --cmd=/etc/haproxy/haproxy.cfg)

build/images/dnsmasq.tar: $(TOOLS)/mkimage | build/images
	@$(call with-lists,$(TOOLS)/mkimage -o $@ --debian dnsmasq-base=/usr/sbin/dnsmasq --user 65534:65534 --entrypoint /usr/sbin/dnsmasq)

build/images/squid.tar: $(TOOLS)/mkimage | build/images
	@$(call with-lists,$(TOOLS)/mkimage -o $@ --debian squid=/usr/sbin/squid --user 65532:65532 --entrypoint /usr/sbin/squid \
		--cmd=-N --cmd=-f --cmd=/etc/squid/squid.conf)

build/images/rsyslog.tar: $(TOOLS)/mkimage | build/images
	@$(call with-lists,$(TOOLS)/mkimage -o $@ --entrypoint /usr/sbin/rsyslogd --cmd=-n --cmd=-iNONE --cmd=-f --cmd=/etc/rsyslog.conf \
		--debian 'rsyslog=/usr/sbin/rsyslogd:/usr/lib/*/rsyslog/imfile.so:/usr/lib/*/rsyslog/lmnet.so:/usr/lib/*/rsyslog/lmnetstrms.so:/usr/lib/*/rsyslog/lmnsd_ptcp.so:/usr/lib/*/rsyslog/lmtcpclt.so:/usr/lib/*/rsyslog/lmregexp.so')

build/images/busybox.tar $(ARM64)/busybox.tar: $(TOOLS)/mkimage | build/images
	@$(lists-for) $(call with-lists,$(TOOLS)/mkimage -o $@ $(image-for) --debian busybox-static=/bin/busybox --applets /bin/busybox --cmd /bin/sh)

# Other sources of packages may have another Node.
$(BUILD)/field/apt.conf:
	@mkdir -p $(@D)
	@printf '%s\n' 'Package: nodejs' 'Pin: release o=Debian' 'Pin-Priority: 1001' > $(@D)/preferences
	@echo 'Dir::Etc::Preferences "$(@D)/preferences";' > $@

$(FIELD_IMAGES): build/images/field/%.tar: $(TOOLS)/mkimage $(BUILD)/field/apt.conf
	@mkdir -p $(@D)
	@export APT_CONFIG=$(BUILD)/field/apt.conf; $(call with-lists,$(TOOLS)/mkimage -o $@ --debian busybox-static=/bin/busybox --applets /bin/busybox $(field-$*))

# The attackers of integration/promise, for the machine in qemu.
build/images/attack.tar: $(wildcard integration/attack/*.go) $(TOOLS)/mkimage | build/images
	@$(GO) build -trimpath -o $(STATIC)/attack ./integration/attack
	@$(call with-lists,$(TOOLS)/mkimage -o $@ --debian busybox-static=/bin/busybox --applets /bin/busybox $(STATIC)/attack:/attack)

# The same attackers for an arm64 machine, by its own system calls and by those of 32-bit arm.
$(ARM64)/attack.tar: $(wildcard integration/attack/*.go) $(TOOLS)/mkimage
	@GOARCH=arm64 $(GO) build -trimpath -o $(ARM64)/attack ./integration/attack
	@GOARCH=arm $(GO) build -trimpath -o $(ARM64)/attack32 ./integration/attack
	@$(lists-for) $(call with-lists,$(TOOLS)/mkimage -o $@ $(image-for) --debian busybox-static=/bin/busybox --applets /bin/busybox \
		$(ARM64)/attack:/attack $(ARM64)/attack32:/attack32)

build/images $(TOOLS):
	@mkdir -p $@

$(TOOLS)/mkimage: $(wildcard integration/mkimage/*.go) go.mod | go
	@$(GO) build -trimpath -o $@ ./integration/mkimage

$(TOOLS)/staticcheck-$(STATICCHECK_VERSION): | go
	@$(call install,honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION))

$(TOOLS)/nfpm-$(NFPM_VERSION): | go
	@$(call install,github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION))

$(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION): | go
	@$(call install,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION))

$(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION): | go
	@$(call install,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION))

# A registry to pull from. Installing Debian's package would start a service, and the tests need only the program.
$(TOOLS)/docker-registry: | $(TOOLS)
	@if registry=$$(command -v docker-registry); then ln -sf "$$registry" $@; else \
		cd $(TOOLS) && $(call with-lists,apt-get download -qq -o APT::Sandbox::User=root docker-registry) && \
		dpkg-deb --fsys-tarfile docker-registry_*.deb | tar -xO ./usr/bin/docker-registry > $@ && \
		chmod +x $@ && rm docker-registry_*.deb; fi

$(NEWEST)/$(CONTAINERD_VERSION): | go
	@rm -rf $(NEWEST)
	@GOBIN=$(NEWEST) $(GO) install -tags "no_cri no_btrfs no_devmapper no_zfs" -ldflags "-s -w" \
		github.com/containerd/containerd/v2/cmd/containerd@$(CONTAINERD_VERSION) \
		github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@$(CONTAINERD_VERSION)
	@touch $@

.PHONY: go
go:
	@$(GO) version >/dev/null 2>&1 || { echo "make: Go is not installed, or not where sudo finds it; Debian's own is too old" \
		"for go.mod ($$(awk '/^go /{print $$2}' go.mod)): unpack the Go project's archive into /usr/local/go, or run make with GO=/path/to/go" >&2; exit 1; }

# --- functions ---

# need,PAIRS: installs the packages whose command is missing.
define need
missing=""; for pair in $(1); do command -v "$${pair%%:*}" >/dev/null || missing+=" $${pair#*:}"; done; missing=$${missing//,/ }; \
[ -z "$$missing" ] || { \
	command -v apt-get >/dev/null || { echo "make: missing:$$missing; install them with this system's package manager" >&2; exit 1; }; \
	[ "$$(id -u)" = 0 ] || { echo "make: missing:$$missing; run 'sudo make deps deps-test', or install them yourself" >&2; exit 1; }; \
	echo "installing$$missing"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; }
endef

# with-lists,COMMAND: runs the command. If it fails, updates apt's lists and runs it again: the version may be gone.
define with-lists
{ $(1) 2>/dev/null || { [ "$$(id -u)" != 0 ] || apt-get update -qq; $(1); }; }
endef

# install,MODULE@VERSION: builds a tool into the file $@.
define install
dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; GOBIN=$$dir $(GO) install -trimpath $(1); mkdir -p $(@D); mv "$$dir"/* $@
endef

# give-back: under sudo, bin/ and build/ go to the user who ran sudo.
give-back = [ -z "$(SUDO_UID)" ] || chown -R $(SUDO_UID):$(SUDO_GID) bin build
