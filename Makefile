# Every command of the project. `make help` lists them.
#
#   PUBLISH=none    make run starts no test broadcast: publish from OBS instead
#   WITH_TESTS=1    make setup also installs what only the tests need
#   WITH_BENCHES=1  make setup also installs what only the benchmarks need
#   CASE=name       make system runs only the cases whose name contains it
#   TARGET=name     the parser that make fuzz fuzzes, for SECONDS=n (60)
#   MINUTES=n       how long make soak publishes (5)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup build web run test system fmt bench-control bench-latency bench-edge bench-micro bench-transcode soak fuzz clean

help: ## List every command
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n '/^#   [A-Z]/s/^# //p' $(MAKEFILE_LIST)

setup: ## Install what is missing on this machine (says what and why before it does)
	@WITH_TESTS=$(WITH_TESTS) WITH_BENCHES=$(WITH_BENCHES) scripts/setup

web: setup ## Build the web pages into web/dist
	@scripts/web build

build: web ## Build every program for release
	cargo build --release --locked --workspace --bins

run: build ## Start the whole platform on this machine, with a test broadcast; Ctrl-C stops it
	@exec $(TARGET)/release/nearcast-dev

test: ## Run everything that CI runs
	@WITH_TESTS=1 scripts/setup
	@scripts/check

system: ## Run only the system tests: real processes on loopback (CASE=name for one)
	@WITH_TESTS=1 scripts/setup
	@scripts/web build
	cargo build --locked --workspace --bins
	cargo test --locked -p nearcast-tests --test system --test players -- $(CASE)

fmt: ## Format all code
	cargo fmt --all

bench-latency: ## Measure glass-to-glass latency through origin, edge and browser
	@WITH_TESTS=1 scripts/setup
	@scripts/web build
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/bench-latency

bench-control: ## Measure what 500 nodes cost a control plane, and how soon a change is at all of them
	@WITH_TESTS=1 scripts/setup
	@scripts/web build
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/bench-control

bench-edge: ## Measure an edge beside nginx, varnish, trafficserver, caddy and envoy (RUNS=1 SECONDS=2 ROW=H3 for less)
	@WITH_BENCHES=1 scripts/setup
	@scripts/web build
	cargo build --release --locked --workspace --bins
	taskset --cpu-list 1 $(TARGET)/release/bench-edge $(if $(RUNS),--runs $(RUNS)) $(if $(SECONDS),--seconds $(SECONDS)) "$(ROW)"

bench-micro: ## Measure an edge's hit path and a control plane's heartbeats and forecasts without sockets
	@scripts/setup
	@scripts/web build
	cargo bench --locked --workspace --bench edge --bench control

bench-transcode: ## Measure what a ladder costs beside the ffmpeg program
	@WITH_BENCHES=1 scripts/setup
	@scripts/web build
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/bench-transcode

soak: ## Publish and watch 20 broadcasts for MINUTES, and see whether memory stays flat
	@WITH_TESTS=1 scripts/setup
	@scripts/web build
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/soak $(MINUTES)

fuzz: ## Fuzz one parser: TARGET=name SECONDS=60; lists them without TARGET
	@scripts/fuzz "$(if $(findstring command,$(origin TARGET)),$(TARGET))" $(SECONDS)

clean: ## Remove everything that was built, and the state of make run
	cargo clean
	rm -rf web/dist web/node_modules tests/browser/node_modules tests/artifacts run
