# The commands of the README. Each installs what it needs (Debian 12 and a Rust toolchain are enough).

.PHONY: help test demo bench build modules clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

test: ## format, lints, licences, all tests; ends with a line that counts them
	@scripts/test

demo: ## DokuWiki under load: deployed, rolled back, flipped 200 times, left running   (ARGS=--once: exits)
	@scripts/setup demo
	@demo/run $(ARGS)

bench: ## eight servers side by side on this machine   (ARGS="verdicts --peers caddy,cutover", ARGS=--save)
	@scripts/setup bench
	@bench/run $(ARGS)

build: ## the release binary: target/release/cutover
	@scripts/setup demo
	cargo build --release --locked -p cutover

modules: ## the modules for Apache and PHP: target/modules
	@scripts/setup modules
	@scripts/modules

clean: ## what was built, and the demo's site
	cargo clean
	rm -rf .demo
