# Needs GNU make, bash and Go. BIN is where build puts what it builds. ARGS are handed to the command behind run, test and
# bench; PKG narrows test: make test PKG=./gateway/internal/token ARGS='-run Replay'
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARGS ?=
BIN ?= bin
PKG ?= work
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo dev)
LDFLAGS := -s -w -X mcp-gateway/shared/buildinfo.version=$(VERSION)

.PHONY: help run build test check fuzz bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1:\2/p' Makefile | while IFS=: read -r target text; do printf '  make %-8s %s\n' "$$target" "$$text"; done

run: ## start the gateway with a simulated Microsoft sign-in on http://localhost:8788
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./bridge/cmd/mcp-bridge
	@go run ./gateway/cmd/devstack $(ARGS)

build: ## put the commands of the product into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(wildcard ./*/cmd/mcp-*)

test: ## run the tests of every module, and say what was left out
	@GOWORK=off go -C .ci/tools build -o ../../bin/tools/ ./testrun
	@bin/tools/testrun $(ARGS) $(PKG)

check: ## everything CI checks: format, vet, dead code, go.mod, other systems, fuzzing, tests
	@.ci/check

fuzz: ## fuzz every fuzz target for a minute each
	@.ci/fuzz 60s

bench: build ## measure the gateway and mcp-bridge beside others; figures also go to bin/bench.json
	@go run ./gateway/cmd/bench --json bin/bench.json $(ARGS)

clean: ## remove what the other targets built
	rm -rf bin
