# pgsh. `make help` lists the targets. Everything is built below build/; the binary is ./pgsh.
VERSION := 0.1.0
BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

# What a fresh Debian 12 needs: to build, to test, to lint.
DEPS_BUILD := gcc libc6-dev pkg-config lua5.4 liblua5.4-dev libuv1-dev libpq-dev libcurl4-openssl-dev libjansson-dev zlib1g-dev libdeflate-dev libssl-dev libssh2-1-dev libyaml-dev libreadline-dev
DEPS_TEST := lua-busted lua-check lua-cqueues lua-socket lua-cjson postgresql-15 tmux procps openssl gzip patch \
  git curl openssh-client openssh-server postgresql-15-repmgr prometheus-alertmanager \
  lua-yaml lua-luaossl lua-filesystem sudo postgresql-15-partman sqitch libdbd-pg-perl
DEPS_LAB := curl jq postgresql-client-15 awscli
DEPS_BENCH := pigz postgresql-client-15 python3-psycopg2 pssh clustershell ansible-core dropbear-bin
DEPS_LINT := clang clang-tidy clang-format cppcheck valgrind libclang-rt-14-dev universal-ctags

LIBS := lua5.4 libuv libpq libcurl libssh2 yaml-0.1 jansson zlib libdeflate libcrypto readline
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Werror
HARD := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LINK := -pie -Wl,-z,relro,-z,now,--as-needed -Wl,-E
ifdef SANITIZE
BUILD := build/$(SANITIZE)
HARD := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LINK := -fsanitize=$(SANITIZE) -Wl,-E
endif
ifdef COVERAGE
BUILD := build/coverage
HARD := --coverage -O0
LINK := --coverage -Wl,-E
endif
BIN := $(if $(SANITIZE)$(COVERAGE),$(BUILD)/pgsh,./pgsh)

SRC := $(wildcard src/*.c src/*/*.c)
OBJ := $(SRC:src/%.c=$(BUILD)/%.o) $(BUILD)/embedded.o
LUA := $(sort $(wildcard lua/pgsh/*.lua lua/pgsh/*/*.lua lua/meta/*.lua procedures/*.lua))
PKG = $(shell pkg-config --cflags $(LIBS))
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DPGSH_VERSION='"$(VERSION)"' -Isrc $(PKG) $(CFLAGS) $(HARD)

.DEFAULT_GOAL := all
.PHONY: help deps deps-build deps-lint all demo check check-lab lint lint-layers fmt fuzz bench bench-heroku bench-pipe bench-ssh bench-kube bench-shell stats install uninstall clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

deps: $(BUILD)/.deps-build $(BUILD)/.deps-test ## install what building and testing need (Debian 12; root or sudo)
deps-build: $(BUILD)/.deps-build
deps-lint: $(BUILD)/.deps-lint

# Installs only what dpkg does not know as installed; a second call costs nothing.
define install-deps
	@mkdir -p $(BUILD)
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; echo "installing:" $$missing; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >$(BUILD)/apt.log 2>&1 \
	  || { tail -20 $(BUILD)/apt.log; exit 1; }; fi
	@touch $@
endef
$(BUILD)/.deps-build: Makefile
	$(call install-deps,$(DEPS_BUILD))
$(BUILD)/.deps-test: Makefile
	$(call install-deps,$(DEPS_TEST) $(shell command -v kubectl >/dev/null || echo kubernetes-client))
$(BUILD)/.deps-lint: Makefile
	$(call install-deps,$(DEPS_LINT))
# A Node that is there already is used; npm brings a newer one where it is too old. So is a kubectl.
$(BUILD)/.deps-lab: Makefile
	$(call install-deps,$(DEPS_LAB) $(shell command -v npm >/dev/null || echo npm))

$(BUILD)/.deps-bench: Makefile
	$(call install-deps,$(DEPS_BENCH))

all: $(BUILD)/.deps-build ## build ./pgsh
	@$(MAKE) --no-print-directory $(BIN)

$(BIN): $(OBJ)
	@echo "  LINK $@"
	$(Q)$(CC) $(LINK) -o $@ $(OBJ) $(shell pkg-config --libs $(LIBS)) -lpthread

$(BUILD)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(WARN) -MMD -MP -c $< -o $@

$(BUILD)/embedded.c: src/vm/embed.lua $(LUA)
	@mkdir -p $(@D)
	@echo "  EMBED $(words $(LUA)) Lua files"
	$(Q)lua5.4 src/vm/embed.lua $(LUA) > $@.tmp && mv $@.tmp $@
$(BUILD)/embedded.o: $(BUILD)/embedded.c
	$(Q)$(CC) $(ALL_CFLAGS) -g0 -c $< -o $@
-include $(OBJ:.o=.d)

demo: deps all ## start the lab and run heroku-primary against it
	$(Q)./pgsh lua tests/lab/demo.lua

check: deps all ## build and run every test (SPEC=FILE: that one; SANITIZE=address: under it)
	$(Q)PGSH=$(abspath $(BIN)) $(BIN) lua tests/run.lua $(SPEC)

check-lab: deps $(BUILD)/.deps-lab all ## the real Heroku CLI (npm, versions 10 and 11) and AWS CLI against the simulators
	$(Q)tests/lab/heroku_cli.sh
	$(Q)tests/lab/aws_cli.sh

# One file a process: clang-tidy 14 mistakes a va_list after it has seen another file.
lint: deps-lint deps lint-layers ## compilers' warnings, clang-tidy, cppcheck, luacheck
	$(Q)clang-format --dry-run -Werror $$(git ls-files 'src/*.c' 'src/*.h')
	$(Q)luacheck -q --no-color lua procedures examples tests
	$(Q)cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr --suppressions-list=.cppcheck -D_GNU_SOURCE -Isrc src
	$(Q)echo $(SRC) | xargs -n 1 -P "$$(nproc)" sh -c 'clang-tidy --quiet "$$@" -- $(filter-out -DPGSH_VERSION%,$(ALL_CFLAGS)) -DPGSH_VERSION=__FILE__ -w 2>/dev/null' tidy

lint-layers: ## lower layers never include upper ones; one place resumes Lua, one prints
	$(Q)lua5.4 tests/lint/layers.lua

fmt: deps-lint ## format the C sources
	$(Q)clang-format -i $$(git ls-files 'src/*.c' 'src/*.h')

fuzz: deps-lint deps-build ## fuzz the parsers (SECONDS=30 each)
	$(Q)tests/fuzz/run.sh $(or $(SECONDS),30)

bench: bench-heroku bench-pipe bench-ssh bench-kube bench-shell ## every measurement
bench-heroku: deps $(BUILD)/.deps-lab all ## start-up, journal, and the Heroku maintenance against the CLI
	$(Q)./pgsh lua tests/bench/bench.lua
bench-pipe: deps $(BUILD)/.deps-bench all ## dump, gzip and hashes in one pass, import, rows, against pigz, gunzip, psql, psycopg2
	$(Q)./pgsh lua tests/bench/pipe.lua
	$(Q)./pgsh lua tests/bench/rows.lua
bench-ssh: deps $(BUILD)/.deps-bench all ## 200 hosts, 1000 commands, 256 MB, against ssh, pssh, clush, ansible and scp
	$(Q)./pgsh lua tests/bench/ssh.lua
bench-kube: deps all ## a dump out of a pod, against pg_dumpall, gzip, sha512sum and kubectl cp
	$(Q)./pgsh lua tests/bench/kube.lua
bench-shell: deps all ## the prompt, completion and a long result, beside psql
	$(Q)./pgsh lua tests/bench/shell.lua

stats: ## lines by folder, largest files
	@for d in src/*/ lua/pgsh lua/meta procedures tests; do printf '%-14s %6d\n' $$d $$(git ls-files $$d | xargs cat | wc -l); done
	@git ls-files 'src/*.c' 'lua/*.lua' 'tests/*.lua' | xargs wc -l | sort -rn | sed -n 2,6p

install: all ## to $(PREFIX)
	install -D -m 755 pgsh $(DESTDIR)$(PREFIX)/bin/pgsh
	install -d $(DESTDIR)$(PREFIX)/share/pgsh/procedures
	install -m 644 procedures/*.lua $(DESTDIR)$(PREFIX)/share/pgsh/procedures/
uninstall: ## what install put there
	rm -rf $(DESTDIR)$(PREFIX)/bin/pgsh $(DESTDIR)$(PREFIX)/share/pgsh

clean: ## remove what was built
	rm -rf build pgsh
