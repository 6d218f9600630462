# corq's one Makefile. `make help` lists what it can do.
#
# Variables of use on the command line:
#   CC=clang            the compiler
#   BUILD=dir           where everything goes (default: build)
#   CONTEXT=auto|asm|ret|ucontext   which context switch to build
#   SANITIZE=address,undefined | thread
#   PREFIX, DESTDIR     for `make install`
#   ARGS="..."          more arguments for `make run`

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifeq ($(origin CC),default)
CC := cc
endif
AR ?= ar
BUILD ?= build
CONTEXT ?= auto
SANITIZE ?=
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
DOCDIR ?= $(PREFIX)/share/doc/corq
INSTALL ?= install
# How the built programs are started by the tests: empty, valgrind, qemu.
WRAPPER ?=

VERSION := $(shell cat VERSION)
comma := ,

# --- set-up -----------------------------------------------------------------
# config.mk holds what pkg-config says. Making it installs the build tools if
# they are missing; make then starts over with it included.

NO_CONFIG_GOALS := help clean distclean lint-format deps deps-test deps-lint
ifneq ($(filter-out $(NO_CONFIG_GOALS),$(or $(MAKECMDGOALS),all)),)
-include $(BUILD)/config.mk
endif

PACKAGES := hiredis libevent_core libevent_extra jansson
# TLS is there where all of these are.
TLS_PACKAGES := hiredis_ssl openssl

$(BUILD)/config.mk: deploy/install-deps.sh Makefile
	@deploy/install-deps.sh build
	@mkdir -p $(@D)
	@{ packages='$(PACKAGES)'; tls=; \
	   if pkg-config --exists $(TLS_PACKAGES); then \
	       packages='$(TLS_PACKAGES) $(PACKAGES)'; tls=yes; fi; \
	   echo "TLS := $$tls"; \
	   echo "PKG_CFLAGS := $$(pkg-config --cflags $$packages)"; \
	   echo "PKG_LIBS := $$(pkg-config --libs $$packages)"; } > $@.new
	@mv $@.new $@

# --- flags ------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla \
    -Wmissing-prototypes -Wformat=2 -Wno-format-nonliteral -Wundef \
    -Wpointer-arith -Wcast-qual -Wwrite-strings -Werror
OPTIMISE ?= -O2 -g

CONTEXT_FLAGS_auto :=
CONTEXT_FLAGS_asm := -DCORO_CONTEXT_ASM
CONTEXT_FLAGS_ret := -DCORO_CONTEXT_RET
CONTEXT_FLAGS_ucontext := -DCORO_CONTEXT_UCONTEXT

ifeq ($(SANITIZE),)
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
HARDENING_LD := -pie -Wl,-z,relro,-z,now
else
HARDENING := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
    $(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined)
HARDENING_LD := -fsanitize=$(SANITIZE)
endif

# Branch protection yes, shadow stacks no: an inline switch jumps between
# stacks, which a shadow stack would refuse.
ARCH_FLAGS_x86_64 := -fcf-protection=branch
ARCH_FLAGS_aarch64 := -mbranch-protection=bti
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

CPPFLAGS += -I. -D_GNU_SOURCE -DCORQ_VERSION='"$(VERSION)"' \
    $(CONTEXT_FLAGS_$(CONTEXT)) $(PKG_CFLAGS)
CFLAGS += -std=c11 $(OPTIMISE) $(WARNINGS) $(HARDENING) \
    $(ARCH_FLAGS_$(ARCH)) -pthread
LDFLAGS += $(HARDENING_LD) -pthread
LDLIBS += $(PKG_LIBS) -lm

# --- layers -----------------------------------------------------------------
# Each is one static library; a layer may use those after it in this list.

LAYERS := master worker coro/io coro/sched coro/core coro/base
lib = $(BUILD)/lib/lib$(subst /,-,$(1)).a

SOURCES_coro/base := $(wildcard coro/base/*.c)
SOURCES_coro/core := $(wildcard coro/core/*.c coro/core/*.S)
SOURCES_coro/sched := $(wildcard coro/sched/*.c)
SOURCES_coro/io := $(filter-out %/$(if $(TLS),redis_no_tls.c,redis_tls.c), \
    $(wildcard coro/io/*.c))
SOURCES_worker := $(wildcard worker/*.c worker/handlers/*.c)
SOURCES_master := $(filter-out master/main.c,$(wildcard master/*.c master/*/*.c))
SCRIPTS := $(wildcard master/queue/scripts/*.lua)
SOURCES_fuzz := $(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c))
SOURCES_support := $(wildcard tests/support/*.c) $(SOURCES_fuzz)
# What benchmarks need of it, without cmocka.
SOURCES_family := tests/support/family.c

object = $(addprefix $(BUILD)/obj/,$(addsuffix .o,$(basename $(1))))

define layer_rule
$(call lib,$(1)): $(call object,$(SOURCES_$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@$(AR) rcs $$@ $$^
endef
$(foreach layer,$(LAYERS) support,$(eval $(call layer_rule,$(layer))))

# Each Redis script becomes a struct script, script_<name>: its text without
# its comments, and the SHA-1 by which the server knows that.
SCRIPT_OBJECTS := $(patsubst %.lua,$(BUILD)/obj/%.lua.o,$(SCRIPTS))

$(call lib,master): $(SCRIPT_OBJECTS)

.SECONDARY: $(SCRIPT_OBJECTS:.o=.c) $(SCRIPT_OBJECTS:.o=.bare)

$(BUILD)/obj/%.lua.bare: %.lua Makefile
	@mkdir -p $(@D)
	@sed -e '/^ *--/d' $< > $@

$(BUILD)/obj/%.lua.c: $(BUILD)/obj/%.lua.bare Makefile
	@{ echo '#include "master/queue/scripts.h"'; \
	   echo 'const struct script script_$(notdir $*) = {'; \
	   echo '.name = "$(notdir $*)",'; \
	   echo ".sha = \"$$(sha1sum < $< | cut -c1-40)\","; \
	   echo '.text ='; \
	   sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' $<; \
	   echo '};'; } > $@

$(BUILD)/obj/%.lua.o: $(BUILD)/obj/%.lua.c master/queue/scripts.h $(BUILD)/flags
	@echo "  script $(notdir $*)"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The layers that a test of layer $(1) may link with: it and those below.
below = $(if $(2),$(if $(filter $(1),$(firstword $(2))),$(2),$(call below,$(1),$(wordlist 2,99,$(2)))))
libs_of = $(foreach layer,$(call below,$(1),$(LAYERS)),$(call lib,$(layer)))

PROGRAM := $(BUILD)/corq

# Each example is one file, and needs nothing but the coroutine library.
EXAMPLES := $(wildcard examples/*.c)
EXAMPLE_SOURCES := $(EXAMPLES) $(wildcard examples/*.h)
example_program = $(addprefix $(BUILD)/,$(basename $(1)))

all: $(PROGRAM) examples

examples: $(call example_program,$(EXAMPLES))

define example_rule
$(call example_program,$(1)): $(call object,$(1)) $(call libs_of,coro/io)
	@mkdir -p $$(@D)
	@echo "  link   $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach example,$(EXAMPLES),$(eval $(call example_rule,$(example))))

$(PROGRAM): $(call object,master/main.c) $(call libs_of,master)
	@echo "  link   $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What everything is built with; objects are made anew when it changes.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','"'"',$(CC) $(CPPFLAGS) $(CFLAGS))' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

FORCE:

$(BUILD)/obj/%.o: %.c $(BUILD)/config.mk $(BUILD)/flags VERSION
	@mkdir -p $(@D)
	@echo "  cc     $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.S $(BUILD)/config.mk $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  as     $<"
	@$(CC) $(CPPFLAGS) $(ARCH_FLAGS_$(ARCH)) -MMD -MP -c -o $@ $<

# --- tests ------------------------------------------------------------------

TESTS_UNIT := $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c)
TESTS_INTEGRATION := $(filter-out %/test_redis_$(if $(TLS),no_tls.c,tls.c), \
    $(wildcard tests/integration/test_*.c))
TESTS_E2E := $(wildcard tests/e2e/test_*.c)
TESTS_FAULT := $(wildcard tests/fault/test_*.c)
TESTS := $(TESTS_UNIT) $(TESTS_INTEGRATION) $(TESTS_E2E) $(TESTS_FAULT)
test_program = $(addprefix $(BUILD)/,$(basename $(1)))

# tests/unit/coro/sched/test_x.c -> coro/sched; anything else -> master
test_layer = $(or $(patsubst tests/unit/%/,%,$(filter tests/unit/%,$(dir $(1)))),master)

define test_rule
$(call test_program,$(1)): $(call object,$(1)) $(call lib,support) \
    $(call libs_of,$(call test_layer,$(1)))
	@mkdir -p $$(@D)
	@echo "  link   $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LDLIBS)
endef
$(foreach test,$(TESTS),$(eval $(call test_rule,$(test))))

# Where memory runs out on purpose, allocations go through tests/support/oom.c.
OOM_FUNCTIONS := malloc calloc realloc reallocarray aligned_alloc strdup \
    strndup vasprintf __vasprintf_chk hi_malloc hi_calloc free \
    freeReplyObject
$(BUILD)/tests/integration/test_oom_%: \
    LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(OOM_FUNCTIONS))

$(call object,$(TESTS) $(filter-out $(SOURCES_family),$(SOURCES_support))): \
    | deps-test

tests: $(PROGRAM) examples $(call test_program,$(TESTS))

run_tests = BUILD=$(BUILD) WRAPPER="$(WRAPPER)" tests/run.sh

test: tests
	@$(run_tests) $(call test_program,$(TESTS))

test-unit: $(call test_program,$(TESTS_UNIT))
	@$(run_tests) $^

test-integration: $(PROGRAM) $(call test_program,$(TESTS_INTEGRATION))
	@$(run_tests) $(call test_program,$(TESTS_INTEGRATION))

test-e2e: $(PROGRAM) examples $(call test_program,$(TESTS_E2E))
	@$(run_tests) $(call test_program,$(TESTS_E2E))

# What tests put before the C library of a program by LD_PRELOAD.
PRELOADED := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/preload/*.c))

$(BUILD)/tests/preload/%.so: tests/preload/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) -std=c11 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) -fPIC -shared \
	    -o $@ $< -ldl

tests: $(PRELOADED)

test-fault: $(PROGRAM) $(PRELOADED) $(call test_program,$(TESTS_FAULT))
	@$(run_tests) $(call test_program,$(TESTS_FAULT))

# Every fault, and what became of the jobs: the table in docs/reliability.md.
TESTS_VERDICT := $(shell grep -l 'VERDICT_' $(TESTS_E2E) $(TESTS_FAULT))

reliability: $(PROGRAM) $(PRELOADED) $(call test_program,$(TESTS_VERDICT))
	@rm -f $(BUILD)/verdicts
	@CORQ_VERDICTS=$(BUILD)/verdicts TIME_LIMIT=$(or $(TIME_LIMIT),1200) \
	    TEST_JOBS=1 $(run_tests) $(call test_program,$(TESTS_VERDICT))
	@tests/reliability.sh $(BUILD)/verdicts docs/reliability.md

check-asan:
	@$(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined test

check-tsan:
	@$(MAKE) BUILD=$(BUILD)/tsan SANITIZE=thread test

check-valgrind: deps-check
	@CPPFLAGS=-DCORO_VALGRIND $(MAKE) BUILD=$(BUILD)/valgrind OPTIMISE="-O1 -g" \
	    WRAPPER="valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite" test

check-fallback:
	@$(MAKE) BUILD=$(BUILD)/ret CONTEXT=ret test
	@$(MAKE) BUILD=$(BUILD)/ucontext CONTEXT=ucontext test

check-clang: deps-check
	@$(MAKE) BUILD=$(BUILD)/clang CC=clang test

check-aarch64: deps-check
	@tests/aarch64.sh $(BUILD)/aarch64

check-ubsan:
	@$(MAKE) BUILD=$(BUILD)/ubsan SANITIZE=undefined test

# --- fuzzing ----------------------------------------------------------------
# With clang, whose fuzzer watches which branches are taken. It goes on from
# what it found before, in $(BUILD)/fuzz/corpus; what fails is left beside it.
FUZZ_SECONDS ?= 60
FUZZERS := $(wildcard tests/fuzz/fuzz_*.c)
fuzz_program = $(addprefix $(BUILD)/,$(basename $(1)))

$(call fuzz_program,$(FUZZERS)): $(BUILD)/%: $(call object,%.c) \
    $(call lib,support) $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzz:
	@deploy/install-deps.sh test fuzz
	@$(MAKE) BUILD=$(BUILD)/fuzz CC=clang fuzz-run \
	    SANITIZE=address,undefined,fuzzer-no-link

fuzz-run: $(call fuzz_program,$(FUZZERS))
	@mkdir -p $(BUILD)/corpus
	@for fuzzer in $^; do \
	    $$fuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	        -timeout=10 -dict=tests/fuzz/json.dict -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/ $(BUILD)/corpus tests/fuzz/corpus \
	        || exit 1; done

# --- coverage ---------------------------------------------------------------
# Which lines of coro/ its tests run, and that they are enough. Counters are atomic, for the threads; what
# is killed or aborts on purpose does not count.
COVERAGE_LEAST ?= 95
COVERAGE_TESTS := $(filter tests/unit/coro/% tests/integration/% \
    tests/e2e/test_examples%,$(TESTS))

coverage:
	@deploy/install-deps.sh test coverage
	@LDFLAGS=--coverage $(MAKE) BUILD=$(BUILD)/coverage \
	    OPTIMISE="-Og -g --coverage -fprofile-update=atomic" coverage-run

coverage-run: $(PROGRAM) examples $(call test_program,$(COVERAGE_TESTS))
	@find $(BUILD) -name '*.gcda' -exec rm -f {} +
	@status=0; \
	$(run_tests) $(call test_program,$(COVERAGE_TESTS)) || status=$$?; \
	gcovr --root . --filter 'coro/' --object-directory $(BUILD) $(BUILD) \
	    --sort-percentage --print-summary \
	    --fail-under-line $(COVERAGE_LEAST) && exit $$status

check-long: check-asan check-ubsan check-tsan check-valgrind check-fallback \
    check-clang
	@CORQ_TEST_SCALE=full $(MAKE) test

# --- what people run --------------------------------------------------------

run: deps-run $(PROGRAM)
	@exec $(PROGRAM) run --embedded-redis $(ARGS)

demo: deps-run $(PROGRAM)
	@PROGRAM=$(PROGRAM) examples/demo.sh

BENCHES := $(wildcard bench/bench_*.c)
SOURCES_bench := $(filter-out $(BENCHES),$(wildcard bench/*.c)) $(SOURCES_family)
bench_program = $(addprefix $(BUILD)/,$(basename $(1)))

define bench_rule
$(call bench_program,$(1)): $(call object,$(1) $(SOURCES_bench)) \
    $(call libs_of,master)
	@mkdir -p $$(@D)
	@echo "  link   $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach bench,$(BENCHES),$(eval $(call bench_rule,$(bench))))

bench: deps-run $(PROGRAM) $(call bench_program,$(BENCHES))
	@BUILD=$(BUILD) bench/run.sh

lint: deps-lint $(PROGRAM)
	@tests/lint/run.sh $(BUILD)

format: deps-lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: $(PROGRAM)
	$(INSTALL) -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(UNITDIR)'
	$(INSTALL) -m 755 $(PROGRAM) '$(DESTDIR)$(PREFIX)/bin/corq'
	sed 's,@PREFIX@,$(PREFIX),g' systemd/corq.service.in \
	    > '$(DESTDIR)$(UNITDIR)/corq.service'
	chmod 644 '$(DESTDIR)$(UNITDIR)/corq.service'
	$(INSTALL) -d '$(DESTDIR)$(DOCDIR)/examples'
	$(INSTALL) -m 644 $(EXAMPLE_SOURCES) '$(DESTDIR)$(DOCDIR)/examples'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/corq' '$(DESTDIR)$(UNITDIR)/corq.service' \
	    $(EXAMPLE_SOURCES:%='$(DESTDIR)$(DOCDIR)/%')
	for directory in '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(DOCDIR)'; do \
	    [ ! -d "$$directory" ] || \
	        rmdir --ignore-fail-on-non-empty "$$directory"; done

deps-run deps-test deps-lint deps-check:
	@deploy/install-deps.sh $(patsubst deps-%,%,$@)

deps:
	@deploy/install-deps.sh build run test

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            build $(PROGRAM)'
	@echo 'make run        install what is missing, build, run with a private Redis'
	@echo 'make demo       the same, driving itself, and end'
	@echo 'make test       install what is missing, build, run every test'
	@echo 'make lint       format, sizes, include directions, headers, globals'
	@echo 'make bench      measure; writes $(BUILD)/bench.json'
	@echo 'make install    to $$(DESTDIR)$$(PREFIX), with a systemd unit, the examples'
	@echo 'make check-asan check-ubsan check-tsan check-valgrind check-fallback check-clang'
	@echo 'make check-aarch64   cross-compile, run the unit tests under emulation'
	@echo 'make fuzz       the job codec against Jansson for $$(FUZZ_SECONDS), by default 60'
	@echo 'make coverage   which lines of coro/ its tests run; $(COVERAGE_LEAST) % at least'
	@echo 'make reliability  every fault, with the jobs counted; docs/reliability.md'
	@echo 'make check-long all of those checks, at full size'

.PHONY: all examples tests test test-unit test-integration test-e2e test-fault \
    reliability check-asan \
    check-ubsan check-tsan check-valgrind check-fallback check-clang \
    check-aarch64 check-long coverage coverage-run fuzz fuzz-run run demo bench \
    lint format install uninstall deps deps-run \
    deps-test deps-lint deps-check clean help

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
