# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make            the binary, .output/stalltop
# make check      installs what is missing, builds, and passes every test
# make demo       starts a misbehaving service and opens the live view on it
# make help       the other targets
#
# Everything that is built goes under .output/.  V=1 shows the commands.

O       := .output
CC      := gcc
CLANG   ?= clang-14
TIDY    ?= clang-tidy-14
FORMAT  ?= clang-format-14
PY      ?= /usr/bin/python3
PREFIX  ?= /usr/local
VERSION := 0.1.0
E2E_TIMEOUT ?= 2700
# Tests at a time: they wait for most of their time. One that is marked "alone" has no other beside it.
E2E_JOBS ?= 3
ARCH    := $(shell uname -m)

# bpftool lives in a folder that only root has in PATH.
export PATH := $(PATH):/usr/sbin:/sbin

ifeq ($(V),1)
  Q   :=
  msg  =
else
  Q   := @
  msg  = @printf '  %-8s %s\n' '$(1)' '$(2)';
  MAKEFLAGS += --no-print-directory
endif

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror
CPPFLAGS := -D_GNU_SOURCE -Iagent -I. -I$(O) -Iinclude
REL_C    := -std=gnu11 $(CFLAGS) $(WARN) -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
SAN_C    := -std=gnu11 -O1 -g $(WARN) -fPIE -fno-omit-frame-pointer \
            -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS  := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LIBS     := -lbpf -ldw -lelf -lcjson -lncursesw -ltinfo -lZydis -liberty -lcap -lseccomp -lzstd -lm
BPF_C    := -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_x86 \
            -I. -Ibpf -idirafter /usr/include/$(ARCH)-linux-gnu

SRCS     := $(sort $(wildcard agent/*.c agent/*/*.c rules/*.c tui/*.c))
PAGE     := $(addprefix agent/sink/page/report.,html css js)
RULES    := $(sort $(wildcard rules/*.json))
BPF_ALL  := $(sort $(wildcard bpf/*.bpf.c))
BPF_SOLO := $(filter bpf/probe.bpf.c bpf/bench%.bpf.c,$(BPF_ALL))
BPF_MAIN := $(filter-out $(BPF_SOLO),$(BPF_ALL))
SKELS    := $(if $(BPF_MAIN),$(O)/stalltop.skel.h) $(BPF_SOLO:bpf/%.bpf.c=$(O)/%.skel.h)
GEN_H    := $(SKELS) $(O)/version.h $(O)/rules_builtin.h $(O)/report_page.h
TESTS    := $(sort $(wildcard tests/unit/test_*.c))
TEST_LIB := $(filter-out $(TESTS),$(sort $(wildcard tests/unit/*.c)))
BENCHES  := $(patsubst tests/%.c,$(O)/%,$(sort $(wildcard tests/bench/*.c)))
FMT_SRCS := $(sort $(SRCS) $(wildcard agent/*.h agent/*/*.h rules/*.h tui/*.h bpf/*.[ch] \
            include/*/*.h tests/*/*.[ch] tests/apps/csched/*.[ch]))

OBJS     := $(SRCS:%.c=$(O)/obj/%.o) $(O)/obj/rules_builtin.o $(O)/obj/report_page.o
SAN_OBJS := $(OBJS:$(O)/obj/%=$(O)/asan/obj/%)
TEST_BIN := $(TESTS:tests/unit/%.c=$(O)/unit/%)
LIB_OBJS := $(filter-out $(O)/obj/agent/main.o,$(OBJS))
SAN_LIB  := $(filter-out $(O)/asan/obj/agent/main.o,$(SAN_OBJS))
LINT_OK  := $(SRCS:%.c=$(O)/lint/%.ok)

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
ALL_TARGETS := all check unit e2e bench bench-runtimes soak demo golden-update install fmt fmt-check lint layers layouts asan \
               asan-smoke apps csched csched-check fuzz fuzz-lite deps clean help FORCE
.PHONY: $(ALL_TARGETS)

all: $(O)/stalltop

help:
	@echo 'targets: $(filter-out FORCE,$(ALL_TARGETS))'
	@echo 'V=1 shows commands; install: PREFIX, DESTDIR; check: ONLY="STAGE ..."; e2e, bench, soak: ARGS'

# --- what the machine must have ----------------------------------------------
deps:
	@tools/deps.sh

# The first build asks whether a package is missing: a name to install helps
# more than the compiler's error about a header.
$(O)/deps.ok: tools/deps.sh
	@tools/deps.sh --build --check
	@mkdir -p $(@D) && touch $@

# --- generated sources ---------------------------------------------------------
# A generated file keeps its time when its text did not change.
$(O)/version.h: FORCE | $(O)/deps.ok
	@printf '#define STALLTOP_VERSION "%s"\n' \
	  "$(VERSION)$$(git describe --always --dirty 2>/dev/null | sed 's/^/+/')" > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(O)/rules_builtin.c: FORCE | $(O)/deps.ok
	@tools/embed_rules.sh $(O)/rules_builtin $(RULES)
$(O)/rules_builtin.h: $(O)/rules_builtin.c ;

$(O)/report_page.c: tools/embed_page.sh $(PAGE) | $(O)/deps.ok
	@tools/embed_page.sh $(O)/report_page $(PAGE)
$(O)/report_page.h: $(O)/report_page.c ;

# --- kernel side ---------------------------------------------------------------
$(O)/bpf/%.bpf.o: bpf/%.bpf.c | $(O)/deps.ok
	$(call msg,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_C) -MMD -MP -c $< -o $@

$(O)/stalltop.bpf.o: $(BPF_MAIN:bpf/%.c=$(O)/bpf/%.o)
	$(call msg,LINK-BPF,$@)
	$(Q)bpftool gen object $@ $^

# The text of a skeleton is bpftool's: clang-tidy has no say in it.
skeleton = { echo '/* NOLINTBEGIN */' && bpftool gen skeleton $< name $(1)_bpf && \
           echo '/* NOLINTEND */'; } > $@

$(O)/stalltop.skel.h: $(O)/stalltop.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(call skeleton,stalltop)

$(O)/%.skel.h: $(O)/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(call skeleton,$*)

# --- the agent, plain and with sanitizers ----------------------------------------
# $(1) folder of the objects, $(2) word to print, $(3) flags
define compile
$(1)/%.o: %.c | $$(GEN_H) $$(O)/deps.ok
	$$(call msg,$(2),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $(3) -MMD -MP -c $$< -o $$@

$(1)/rules_builtin.o $(1)/report_page.o: $(1)/%.o: $$(O)/%.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $(3) -c $$< -o $$@
endef
$(eval $(call compile,$(O)/obj,CC,$$(REL_C)))
$(eval $(call compile,$(O)/asan/obj,CC-SAN,$$(SAN_C)))

# $(1) flags, $(2) more libraries
define link
$(call msg,LINK,$@)
@mkdir -p $(@D)
$(Q)$(CC) $(1) $(LDFLAGS) $^ $(LIBS) $(2) -o $@
endef

$(O)/stalltop: $(OBJS)
	$(call link,$(REL_C))

$(O)/asan/stalltop: $(SAN_OBJS)
	$(call link,$(SAN_C))

# As archives, so that a test gets what it uses and no more.
$(O)/libagent.a: $(LIB_OBJS)
$(O)/asan/libagent.a: $(SAN_LIB)
$(O)/asan/libtest.a: $(TEST_LIB:%.c=$(O)/asan/obj/%.o)
%.a:
	$(call msg,AR,$@)
	@mkdir -p $(@D) && rm -f $@
	$(Q)$(AR) rcs $@ $^

$(O)/unit/%: $(O)/asan/obj/tests/unit/%.o $(O)/asan/libtest.a $(O)/asan/libagent.a
	$(call link,$(SAN_C),-lcmocka)

# programs that the benchmarks and the screen tests drive
$(O)/bench/%: $(O)/obj/tests/bench/%.o $(O)/libagent.a
	$(call link,$(REL_C))

$(O)/tests/tui_driver: $(patsubst %.c,$(O)/obj/%.o,$(wildcard tests/screen/*.c)) $(O)/libagent.a
	$(call link,$(REL_C))

# With the sanitizers, and without, for the many.
$(O)/fuzz/damage: $(O)/asan/obj/tests/fuzz/damage.o $(O)/asan/libagent.a
	$(call link,$(SAN_C))

$(O)/fuzz/damage-fast: $(O)/obj/tests/fuzz/damage.o $(O)/libagent.a
	$(call link,$(REL_C))

asan: $(O)/asan/stalltop

# Every command that needs no target, with the sanitizers watching.
asan-smoke: $(O)/asan/stalltop
	@for words in --version --help list doctor 'rules list'; do \
	  $< $$words > $(O)/asan/smoke.out 2>&1 < /dev/null; code=$$?; \
	  if [ $$code -gt 3 ] || grep -qE 'Sanitizer|runtime error' $(O)/asan/smoke.out; then \
	    cat $(O)/asan/smoke.out; echo "stalltop $$words: exit $$code"; exit 1; fi; \
	done

# --- csched: the scheduler in C that carries our probe points ---------------------
CSCHED   := tests/apps/csched
CSCHED_C := $(addprefix $(CSCHED)/,sched.c task.c queue.c timer.c pool.c trace.c)
CSCHED_H := $(wildcard $(CSCHED)/*.h include/stalltop/*.h)
CSCHED_F  = -std=gnu11 -g $(WARN) -D_GNU_SOURCE -Iinclude -pthread
$(O)/csched/%      : CSCHED_V = $(CFLAGS)
$(O)/csched/tsan/% : CSCHED_V = -O1 -fsanitize=thread
$(O)/csched/asan/% : CSCHED_V = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined

csched_csched := main.c faults.c scenario.c
csched_stress := stress.c

define csched_program
$(O)/csched/$(1)$(2): $$(CSCHED_C) $$(addprefix $$(CSCHED)/,$$(csched_$(2))) $$(CSCHED_H) | $$(O)/deps.ok
	$$(call msg,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CSCHED_F) $$(CSCHED_V) $$(filter %.c,$$^) -o $$@
endef
$(foreach v,X tsan/ asan/,$(foreach p,csched stress,\
  $(eval $(call csched_program,$(filter-out X,$(v)),$(p)))))

csched: $(O)/csched/csched

csched-check: $(foreach v,tsan asan,$(O)/csched/$(v)/csched $(O)/csched/$(v)/stress)
	@$(CSCHED)/check.sh $(O)/csched

# --- tests -----------------------------------------------------------------------
check:
	@tests/run_check.sh $(ONLY)

unit: $(TEST_BIN)
	@tests/unit/run.sh $(TEST_BIN)

# The programs that the e2e tests attach to, several Tokio versions and profiles.
# Exit code 77: no cargo, which has been said.
apps:
	@tests/apps/build.sh; code=$$?; [ $$code != 77 ] || echo '0 passed, 0 failed, 1 skipped'; \
	  [ $$code = 77 ] || exit $$code

fuzz-lite: $(O)/fuzz/damage
	@tests/fuzz/run.sh --lite

# An hour: FUZZ_SECONDS each entry, and what tests/fuzz/long.sh does.
FUZZ_SECONDS ?= 300
fuzz: $(O)/fuzz/damage $(O)/fuzz/damage-fast $(O)/bench/trace_tool $(O)/stalltop
	@tests/fuzz/run.sh $(FUZZ_SECONDS)
	@tests/fuzz/long.sh

# No test found is pytest's exit code 5, a failure here too.
e2e: $(O)/stalltop $(O)/csched/csched
	@STALLTOP=$(CURDIR)/$(O)/stalltop PYTHONDONTWRITEBYTECODE=1 PY=$(PY) E2E_JOBS=$(E2E_JOBS) \
	  E2E_TIMEOUT=$(E2E_TIMEOUT) tests/run_e2e.sh $(or $(wildcard tests/e2e tests/golden tests/screen),tests/e2e) $(ARGS)

# Writes what replay says of the golden traces; a person reads the difference.
golden-update: $(O)/stalltop
	@STALLTOP=$(CURDIR)/$(O)/stalltop GOLDEN_UPDATE=1 PYTHONDONTWRITEBYTECODE=1 \
	  $(PY) -m pytest -q -p no:cacheprovider tests/golden

bench: $(O)/stalltop $(BENCHES) $(O)/csched/csched
	@STALLTOP=$(CURDIR)/$(O)/stalltop $(PY) tests/bench/run.py $(ARGS)

bench-runtimes:
	@$(MAKE) bench ARGS=runtimes

soak: $(O)/stalltop
	@STALLTOP=$(CURDIR)/$(O)/stalltop PYTHONDONTWRITEBYTECODE=1 $(PY) tests/soak.py $(or $(ARGS),servers)

demo:
	@tests/demo.sh

layers:
	@tests/check_layers.sh

layouts:
	$(Q)$(PY) tests/layouts/gen_layouts.py

# --- style -------------------------------------------------------------------------
fmt:
	$(Q)$(FORMAT) -i $(FMT_SRCS)

fmt-check:
	@for file in $(FMT_SRCS); do \
	  $(FORMAT) $$file | cmp -s - $$file || { echo "not formatted: $$file (make fmt)"; false; } || bad=1; \
	done; [ -z "$$bad" ]

DEEP_CHECKS := $(if $(DEEP),--checks='clang-analyzer-*$(foreach c,security.insecureAPI.* \
  optin.performance.Padding valist.Uninitialized,,-clang-analyzer-$(c))')

# One mark a file, renewed when it or a header of it changed (the object knows).
# gcc 12 takes a pointer that is stored in a caller's struct for a leak: leaks are
# left to LeakSanitizer in the unit tests.
$(O)/lint/%.ok: %.c .clang-tidy $(O)/obj/%.o
	$(call msg,LINT,$<)
	@mkdir -p $(@D)
	$(Q)$(TIDY) --quiet --warnings-as-errors='*' $(DEEP_CHECKS) $< -- -std=gnu11 $(CPPFLAGS) 2>/dev/null
	$(Q)$(CC) $(CPPFLAGS) $(REL_C) -fanalyzer -Wno-analyzer-malloc-leak -c $< -o /dev/null
	@touch $@

lint: $(LINT_OK)

# --- install, clean ------------------------------------------------------------------
install: $(O)/stalltop
	install -D -m 755 $(O)/stalltop $(DESTDIR)$(PREFIX)/bin/stalltop
	install -D -m 644 include/stalltop/sdt.h $(DESTDIR)$(PREFIX)/include/stalltop/sdt.h
	install -d $(DESTDIR)$(PREFIX)/share/stalltop/rules
	install -m 644 $(RULES) $(DESTDIR)$(PREFIX)/share/stalltop/rules
	$(if $(wildcard docs/stalltop.1),install -D -m 644 docs/stalltop.1 \
	  $(DESTDIR)$(PREFIX)/share/man/man1/stalltop.1)

clean:
	$(Q)rm -rf $(O)

-include $(OBJS:.o=.d) $(SAN_OBJS:.o=.d) $(wildcard $(O)/bpf/*.d $(O)/asan/obj/tests/*/*.d \
  $(O)/obj/tests/*/*.d)
