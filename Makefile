# Targets and what they do: make help. GO runs a go that is new enough (see the script).
GO      = scripts/go.sh
PREFIX  ?= /usr/local
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help build deps demo test test-fast lint soak bench bench-slurm-256 cluster-slurm cluster-gridengine cluster-stop install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/muster, and bin/LLMapReduce, which is the same program
	@scripts/deps.sh build
	@mkdir -p bin
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/muster ./cmd/muster
	@ln -sf muster bin/LLMapReduce

deps: ## install what is missing (apt-get; root or sudo)
	@scripts/deps.sh test

demo: ## install what is missing, build, map a Windows solver over 96 inputs, check, report
	@scripts/deps.sh demo
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh

test: ## install what is missing and run every check and test
	@scripts/test.sh all

test-fast: ## the short tests only
	@scripts/test.sh fast

lint: ## gofmt, vet, staticcheck, shellcheck, the arrows between packages
	@scripts/test.sh lint

soak: ## everything with 100 random rounds instead of 10, from a new seed
	@MUSTER_TEST_SEED=$${MUSTER_TEST_SEED:-$$(date +%s)} MUSTER_TEST_ROUNDS=$${MUSTER_TEST_ROUNDS:-100} MUSTER_TEST_TIMEOUT=$${MUSTER_TEST_TIMEOUT:-60m} scripts/test.sh all

bench: build ## measure, and write the figures to docs/performance.md
	@scripts/deps.sh bench
	@$(GO) build -o build/bench/bench ./scripts/bench
	@build/bench/bench $(BENCH)

bench-slurm-256: ## 16,384 Windows programs on a Slurm of 256 nodes on this machine (root; some minutes)
	@$(MAKE) --no-print-directory bench BENCH=slurm-256

cluster-slurm: ## bring up a real Slurm on this machine to play with (NODES=8 CPUS=4; root or sudo)
	@scripts/cluster.sh start slurm $(or $(NODES),8) $(CPUS)

cluster-gridengine: ## bring up a real Grid Engine on this machine likewise
	@scripts/cluster.sh start gridengine $(or $(NODES),8) $(CPUS)

cluster-stop: ## end both
	@scripts/cluster.sh stop

install: build ## programs, man pages and completions below PREFIX (/usr/local)
	@scripts/install.sh '$(DESTDIR)$(PREFIX)'

clean: ## remove what was built here
	rm -rf bin build
