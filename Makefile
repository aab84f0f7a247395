# Every door of the house. `make help` lists them. Nothing is written outside this folder; missing Debian packages are installed
# by tools/setup.sh, which says what and why.

BUILD  := build/release
JOBS   ?= $(shell nproc)
PROMPT ?= What is a KV cache?
SOAK_CONFIG := $(or $(CONFIG),../shared/data/configs/bench_llama-3.2-1b.json)

# The compiler cache stays inside the tree unless you keep one elsewhere; hits survive moving the tree.
export CCACHE_DIR     ?= $(CURDIR)/build/ccache
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
export NINJA_STATUS = [%f/%t, %e s] #

.DEFAULT_GOAL := help
.PHONY: run build install uninstall package test test-all soak sanitize asan tsan bench lint fuzz fuzz-tokenizer fuzz-template golden clean setup setup-e2e
.PHONY: test-page help

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

run: ## build, answer PROMPT="..." with the built-in model, say what to try next
	@$(MAKE) --no-print-directory build >&2
	@tools/run.sh "$(PROMPT)"

build: ## the command at build/release/corbel
	@tools/setup.sh build
	@tools/build.sh release corbel

PREFIX ?= /usr/local
install: build ## the command, its model and a systemd unit under PREFIX (/usr/local), DESTDIR before it where you pack yourself
	@cmake --install $(BUILD) --component command --prefix "$(PREFIX)"

uninstall: ## take away what `make install` with the same PREFIX (and DESTDIR) laid down
	@tools/uninstall.sh "$(PREFIX)" "$(DESTDIR)"

package: build ## build/package: a .deb, and a tarball that runs wherever it is unpacked
	@cd $(BUILD) && cpack --config CPackConfig.cmake

test: ## build everything, run every test that is quick (under 10 minutes on 2 cores)
	@tools/setup.sh build test
	@tools/build.sh release all
	@tools/test.py $(BUILD) --jobs $(JOBS) --without slow

test-all: ## every test, again under sanitizers, and the fuzz targets (an hour)
	@tools/setup.sh build test
	@tools/build.sh release all
	@tools/test.py $(BUILD) --jobs $(JOBS)
	@$(MAKE) --no-print-directory soak sanitize fuzz

soak: ## REQUESTS (10000) random requests through engines of random shapes, each compared with a session alone; then 500 on CONFIG's shape
	@tools/setup.sh build test
	@tools/build.sh release corbel_soak
	@$(BUILD)/tests/engine/corbel_soak --requests $(or $(REQUESTS),10000)
	@if [ -f "$(SOAK_CONFIG)" ]; then $(BUILD)/tests/engine/corbel_soak --requests 500 --config "$(SOAK_CONFIG)"; \
	 else echo "skipped the 4-bit shape: no $(SOAK_CONFIG) (CONFIG=path of a config.json)"; fi

sanitize: asan tsan ## the quick tests under address + undefined, then those with threads under the thread sanitizer

asan: ## the quick tests under the address and undefined-behaviour sanitizers
	@tools/setup.sh build test
	@tools/build.sh dev all
	@tools/test.py build/dev --jobs $(JOBS) --without slow

# Tests of one thread are left out: they show nothing there and take minutes (samplers, parsers, each op's cases).
TSAN_TESTS := base compile session engine_chaos server endpoints
tsan: ## what has threads under the thread sanitizer: pool, compiler, sessions, chaos, a small soak, server and its load test, batch
	@tools/setup.sh build test
	@tools/build.sh tsan corbel corbel_soak $(TSAN_TESTS:%=corbel_%_test)
	@tools/test.py build/tsan --jobs 1 --without slow \
	  --match '^corbel_($(subst $(eval) ,|,$(TSAN_TESTS))|soak_small|command_batch|command_serve.*)$$'

bench: ## speed of kernels and of the whole, beside this machine's measured limits
	@tools/setup.sh build bench
	@tools/build.sh bench all
	@tools/bench.sh

lint: ## floors, forbidden words, ISA leak, spilled tiles, format, clang-tidy on what changed (ALL=1: on everything)
	@tools/setup.sh build test lint
	@tools/build.sh release corbel_device_cpu
	@tools/lint.py --jobs $(JOBS) $(if $(ALL),--all)

fuzz: ## every fuzz target for FUZZ_SECONDS (60), FUZZ_JOBS (1) at a time; ONLY="json merges": these
	@tools/setup.sh build fuzz
	@tools/build.sh fuzz fuzz
	@tools/fuzz.sh

fuzz-tokenizer: ## COUNT (100000) random texts per kind of tokenizer, against Hugging Face, SentencePiece, tiktoken (Python)
	@tools/setup.sh build golden
	@tools/build.sh release corbel
	@tools/fuzz_tokenizer/run.sh

fuzz-template: ## COUNT (20000) random chat templates against Python's Jinja (Python)
	@tools/setup.sh build golden
	@tools/build.sh release corbel
	@$$(tools/scratch_python.sh templates jinja2==3.1.6 transformers==5.23.0) -B tools/golden/fuzz_templates.py \
	  $(BUILD)/corbel --count $(or $(COUNT),20000) --seed $(or $(SEED),1) $(if $(REPORT),--report $(REPORT))

golden: ## record the goldens from Hugging Face again (Python, torch; never needed to build or test)
	@tools/setup.sh golden
	@tools/golden/record.sh $(ARGS)

setup-e2e: ## install what the tests of the page need: Debian's Chromium, and Playwright in a scratch environment
	@tools/setup.sh build test e2e
	@tools/scratch_python.sh page playwright==1.65.2 > /dev/null
	@echo "the page is tested by: make test-page"

test-page: ## the page at / in a browser (make setup-e2e installs one); PICTURES=folder: pictures of it instead
	@tools/build.sh release corbel
	@$(if $(PICTURES),python3 -B tests/page/screenshots.py $(BUILD)/corbel $(PICTURES),python3 -B tests/page/check_page.py $(BUILD)/corbel .)

setup: ## install every package that any of these needs
	@tools/setup.sh build test bench lint fuzz golden

clean: ## forget what was built (the compiler cache stays)
	rm -rf build/release build/release-external build/dev build/tsan build/fuzz build/bench
