# All that CI does is `make test`. Needs Go, a C compiler (for the race detector and the models), spin and
# chromium, which it installs where it may, and Node.js with npm for the TypeScript package. Other tools are
# built from tools/go.mod into bin/ at their first use, or come from npm.

# Each module of the repository is built on its own, whatever go.work lies above it.
export GOWORK := off

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c

GO       ?= go
TOOLS    := bin/.tools-$(shell $(GO) env GOVERSION)
MODULES  := . $(patsubst %/go.mod,%,$(wildcard bench/go.mod soak/go.mod))
NODE     := jsonrpc/testdata/node ts
RACE     := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

# Settings: make fuzz FUZZTIME=10m
FUZZTIME ?= 20s
ROUNDS   ?= 20
SCHEDULES ?= 100000
COUNT    ?= 6
BENCH    ?=
MUTANTS  ?=
PKG      ?= ./...

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## Print this
	@echo "usage: make TARGET [NAME=VALUE...]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build the command into bin/chum
	$(GO) build -trimpath -o bin/chum ./cmd/chum

.PHONY: demo
demo: ## Show it: two chums bring a real directory over on one WebSocket
	$(GO) run ./cmd/chum demo

.PHONY: picture
picture: ## Draw the picture at the top of the README from a run of the demo
	$(GO) run ./cmd/chum demo 2>/dev/null | sed 's#[^ ]*/chum-demo-[0-9]*#$$DEMO#' | (cd tools && $(GO) run ./termsvg) > doc/demo.svg

.PHONY: test
test: MUTANTS := -short
test: tidy unit ts model mutants lint vuln ## Everything that CI does: go.mod, unit tests with the race detector, TypeScript, models, mutants, lint, vulnerabilities

# The other modules go without the race detector, or all that they stand on would be compiled again for it.
.PHONY: unit
unit: node ## The unit tests alone, with the race detector (PKG=./rpc/... for some of them)
	@$(if $(RACE),,echo "race detector: skipped, it needs cgo and a C compiler (go env CGO_ENABLED is 0)")
	$(GO) test $(RACE) -shuffle=on -timeout 15m $(PKG)
	$(if $(filter ./...,$(PKG)),@set -e; for m in $(filter-out .,$(MODULES)); do echo "unit $$m"; (cd $$m && $(GO) test -timeout 15m ./...); done)

.PHONY: ts
ts: ## Build, lint and test the TypeScript package, in Node.js and Chromium
	@bash tools/ts.sh

.PHONY: conformance
conformance: KEPT := $(CURDIR)/conformance/results
conformance: ## Play the conformance suite in all pairs of Go, Node.js and Chromium, and write the table in the README
	CHUM_CONFORMANCE=$(KEPT) bash tools/ts.sh test/live/conformance.test.ts
	$(GO) test ./conformance -count=1 -run 'TestGoTo' -results $(KEPT)
	$(GO) test ./conformance -count=1 -run TestTable -update

.PHONY: example
example: ## Make what is generated of examples/browser: the methods in TypeScript, and the page's script
	cd examples/browser && $(GO) generate ./... && $(GO) test -run TestMethods . -update
	cd ts && PATH=$$(bash ../tools/node.sh):$$PATH npm run --silent example

.PHONY: model
model: ## Check the models of spec/model with spin: they hold, and each of their mutants fails
	@bash spec/model/check.sh

.PHONY: node
node: $(NODE:%=%/node_modules/.package-lock.json) ## Install what tests need of npm, a JSON-RPC client and a compiler of TypeScript, if there is a Node.js

%/node_modules/.package-lock.json: %/package-lock.json
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "npm: $* is not installed and not tested, there is no node and npm (Node.js 18 or newer) in the PATH"; \
	else cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; fi

.PHONY: mutants
mutants: ## Break one rule of the code at a time: a test must notice each (MUTANTS=-short: three of 36, all texts looked up)
	cd tools && $(GO) run ./mutants $(MUTANTS)

.PHONY: lint
lint: $(TOOLS) ## Vet, staticcheck, format and the other linters of .golangci.yml
	@for m in $(MODULES); do \
		echo "lint $$m"; (cd $$m && $(GO) vet ./... && $(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); \
	done

.PHONY: fmt
fmt: $(TOOLS) ## Format the sources as lint wants them
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/bin/golangci-lint fmt --config $(CURDIR)/.golangci.yml); done

.PHONY: tidy
tidy: ## Check that go.mod and go.sum say what the sources import
	@for m in $(MODULES) tools; do (cd $$m && $(GO) mod tidy -diff); done

.PHONY: vuln
vuln: $(TOOLS) ## Look for known vulnerabilities that our code reaches (GOVULNDB=url, directory or .tgz)
	@bash tools/vulncheck.sh $(CURDIR)/bin/govulncheck ./...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME, 20s unless said otherwise
	@bash tools/fuzz.sh $(FUZZTIME) $(PKG)

.PHONY: soak
soak: node ## Run the unit tests ROUNDS times over, 20 unless said otherwise, in another order each time
	@for i in $$(seq $(ROUNDS)); do echo "soak: round $$i of $(ROUNDS)"; \
		$(GO) test $(RACE) -shuffle=on -timeout 15m $(PKG); done

.PHONY: soak-net
soak-net: ## Cut 1,000 connections of real processes at random, under load and with the server killed, and flood a server, 4 minutes
	cd soak && $(GO) test -count=1 -v -timeout 15m . -args -conns 1000 -span 60s -pause 3s -slow
.PHONY: soak-session
soak-session: ## Run SCHEDULES random schedules of cuts beneath peers, 100,000 unless said otherwise, and a tenth with the race detector
	$(GO) test ./session -run TestCallsSurviveCuts -v -timeout 60m -schedules $(SCHEDULES)
	$(if $(RACE),$(GO) test ./session -race -run TestCallsSurviveCuts -v -timeout 60m -schedules $$(($(SCHEDULES) / 10)) -seed 1000000)

.PHONY: bench
bench: ## Measure chum beside other libraries, 25 minutes (BENCH=-short: three, nothing is kept)
	cd bench && $(GO) run . -readme ../README.md -chart ../doc/bench.svg $(BENCH)

.PHONY: bench-code
bench-code: $(TOOLS) ## Run the benchmarks that stand beside the code COUNT times, 6 unless said otherwise, and sum them up
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 60m $(PKG) | tee bin/bench.txt
	bin/benchstat bin/bench.txt

.PHONY: cover
cover: ## Measure what the tests cover: cover.out, cover.html
	$(GO) test -coverprofile cover.out -coverpkg ./... -timeout 15m ./...
	$(GO) tool cover -html cover.out -o cover.html
	@$(GO) tool cover -func cover.out | tail -n 1

.PHONY: clean
clean: ## Remove what was built and measured
	rm -rf bin cover.out cover.html ts/dist ts/node_modules

$(TOOLS): tools/go.mod tools/go.sum
	@mkdir -p bin && rm -f bin/.tools-*
	cd tools && $(GO) build -o $(CURDIR)/bin/ tool
	@touch $@
