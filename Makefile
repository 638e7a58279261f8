# SPDX-License-Identifier: BSD-2-Clause
# make            build/ngx_http_ws_bus_module.so for the installed nginx
# make unit       build/unit/*: tests of the folders that know no nginx
# make install    copies the module to nginx's modules directory, MODULES_DIR
# make dist       build/ws_bus-VERSION.tar.gz
# make deb        build/libnginx-mod-http-ws-bus_VERSION_ARCH.deb, for the
#                 Debian that it runs on
# make bench      beside its peers (docs/performance.md)
# make bench-conditions   what the conditions of one client can cost
# make fuzz       the fuzz targets (fuzz/fuzz.mk)
# make asan       everything with sanitizers (t/sanitize.mk)
#
# NGINX_SRC=dir builds against an nginx source tree instead of Debian's
# nginx-dev; the module then fits the nginx that is built from that tree.

SHELL     = /bin/bash

TOP      := $(CURDIR)
BUILD    ?= $(TOP)/build
MODULE    = $(BUILD)/ngx_http_ws_bus_module.so

CC        = gcc
WARN      = -W -Wall -Wextra -Wpointer-arith -Wshadow -Werror
PURE_OPT ?= -O2 -g
PURE_CFLAGS = -std=gnu11 $(WARN) $(PURE_OPT)
PURE_LIBS = -lz -lcjson -lcrypto

PURE     := $(wildcard src/ws/*.c src/json/*.c src/event/*.c \
              src/match/*.c src/log/*.c src/auth/*.c src/rest/*.c \
              src/protocol/*.c)
HEADERS  := $(wildcard src/*.h src/*/*.h src/ngx/*/*.h)
GLUE     := $(wildcard src/ngx/*/*.c)
TESTS    := $(wildcard t/unit/*/*_test.c)

DEB_SRC   = /usr/share/nginx/src

# without a tree of its own: Debian's headers and its configure line
ifeq ($(NGINX_SRC),)
TREE      = $(DEB_SRC)
CONFIGURE = . ./conf_flags && ./configure --with-cc-opt="-g -O2 -fPIC" \
            --with-ld-opt="-fPIC" "$${NGX_CONF_FLAGS[@]}"
else
TREE      = $(abspath $(NGINX_SRC))
CONFIGURE = auto/configure --with-compat --with-debug --with-threads \
            --with-http_ssl_module --with-http_v2_module \
            --with-http_realip_module --with-http_auth_request_module
endif


.PHONY: all module unit install dist deb bench bench-conditions clean

all: module

module: $(MODULE)

# configure names the sources, so it runs again when there are others

SOURCES  := $(PURE) $(GLUE) $(HEADERS)
$(shell mkdir -p $(BUILD); echo '$(SOURCES)' >$(BUILD)/sources.new; \
    cmp -s $(BUILD)/sources.new $(BUILD)/sources \
    || cp $(BUILD)/sources.new $(BUILD)/sources)

# nginx-dev, and what it is built with
$(DEB_SRC)/conf_flags:
	@echo "make: $@ is missing: it is of Debian's nginx-dev" >&2
	@echo "make: apt-get install nginx nginx-dev libcjson-dev libssl-dev" \
	    "zlib1g-dev gcc libc6-dev" >&2
	@echo "make: or build against a source tree: make NGINX_SRC=dir" >&2
	@false

$(BUILD)/nginx/Makefile: config $(BUILD)/sources $(if $(NGINX_SRC),,$(DEB_SRC)/conf_flags)
	@mkdir -p $(BUILD)
	cd $(TREE) && unset CFLAGS && $(CONFIGURE) \
	    --add-dynamic-module=$(TOP) --builddir=$(BUILD)/nginx \
	    >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; false; }

$(MODULE): $(BUILD)/nginx/Makefile $(PURE) $(GLUE) $(HEADERS)
	$(MAKE) -s -f $(BUILD)/nginx/Makefile -C $(TREE) modules
	cp $(BUILD)/nginx/ngx_http_ws_bus_module.so $(MODULE).tmp
	mv $(MODULE).tmp $(MODULE)

# of an nginx from source: its prefix with /modules, as in
#   make install NGINX_SRC=dir MODULES_DIR=/usr/local/nginx/modules
# A file that nginx has loaded must never be written to: a new one takes its
# name.
MODULES_DIR ?= /usr/lib/nginx/modules

install: module
	install -d $(DESTDIR)$(MODULES_DIR)
	install -m 644 $(MODULE) \
	    $(DESTDIR)$(MODULES_DIR)/.ngx_http_ws_bus_module.so.new
	mv $(DESTDIR)$(MODULES_DIR)/.ngx_http_ws_bus_module.so.new \
	    $(DESTDIR)$(MODULES_DIR)/ngx_http_ws_bus_module.so


# The version stands in src/ngx/core/ngx_http_ws_bus_core.h, and nowhere else.

VERSION  := $(shell sed -n 's/^.define NGX_HTTP_WS_BUS_VERSION *"\(.*\)"$$/\1/p' \
              src/ngx/core/ngx_http_ws_bus_core.h)
DIST      = ws_bus-$(VERSION)

# what git knows, as it is in the working tree; without git, all but build/

dist:
	@mkdir -p $(BUILD)
	{ git -c safe.directory=$(TOP) ls-files -z 2>/dev/null \
	      | grep -z . \
	  || find * .ci .editorconfig .gitignore -path build -prune \
	      -o -type f -print0; } \
	| LC_ALL=C sort -z \
	| tar --null -T - --owner=0 --group=0 --numeric-owner \
	      --transform 's,^,$(DIST)/,' -czf $(BUILD)/$(DIST).tar.gz

# The package's version ends in the release of Debian, so that an upgrade of
# Debian takes the module for the newer nginx; sid has no number.

DEB_SUFFIX = $(shell . /etc/os-release; \
               [ "$$ID" != debian ] && [ -n "$$ID" ] && echo "~$$ID$$VERSION_ID" \
               || echo "$${VERSION_ID:+~deb$$VERSION_ID}")

deb: dist
	rm -rf $(BUILD)/deb
	mkdir -p $(BUILD)/deb
	tar -C $(BUILD)/deb -xzf $(BUILD)/$(DIST).tar.gz
	printf '%s\n' 'ws-bus ($(VERSION)-1$(DEB_SUFFIX)) unstable; urgency=medium' \
	    '' '  * See CHANGES.md.' '' \
	    " -- $$(sed -n 's/^Maintainer: //p' debian/control)  $$(LC_ALL=C date -R -r CHANGES.md)" \
	    >$(BUILD)/deb/$(DIST)/debian/changelog
	cd $(BUILD)/deb/$(DIST) && env -u MAKEFLAGS -u MAKELEVEL -u BUILD \
	    dpkg-buildpackage -us -uc -b
	mv $(BUILD)/deb/libnginx-mod-*_*.deb $(BUILD)/deb/*.changes \
	    $(BUILD)/deb/*.buildinfo $(BUILD)/


# the pure folders, by themselves

PURE_OBJ := $(PURE:src/%.c=$(BUILD)/pure/%.o)

$(BUILD)/pure/%.o: src/%.c $(HEADERS)
	@mkdir -p $(dir $@)
	$(CC) $(PURE_CFLAGS) -c -o $@ $<

$(BUILD)/libwsb.a: $(PURE_OBJ)
	@rm -f $@
	ar rcs $@ $^

UNIT     := $(TESTS:t/unit/%.c=$(BUILD)/unit/%)

$(BUILD)/unit/%: t/unit/%.c t/unit/tap.h $(BUILD)/libwsb.a
	@mkdir -p $(dir $@)
	$(CC) $(PURE_CFLAGS) -Wno-unused-function -Isrc -It/unit -o $@ $< \
	    $(BUILD)/libwsb.a $(PURE_LIBS)

include fuzz/fuzz.mk
include t/sanitize.mk

unit: $(UNIT) replay

# beside its peers: docs/performance.md
#   BENCH_ROUNDS=n    paired rounds; BENCH_ROUNDS=1 is a quick look
#   BENCH_ROWS=a,b    only these rows; BENCH=--list names them
#   BENCH=...         any option of bench/run

$(BUILD)/bench/%: bench/%.c
	@mkdir -p $(dir $@)
	$(CC) -std=gnu11 -O2 -W -Wall -Werror -o $@ $<

bench: module $(BUILD)/bench/load $(BUILD)/bench/floor
	bench/run $(BENCH) $(if $(BENCH_ROUNDS),--rounds=$(BENCH_ROUNDS)) \
	    $(if $(BENCH_ROWS),--rows=$(BENCH_ROWS))

$(BUILD)/bench/conditions: bench/conditions.c $(BUILD)/libwsb.a
	@mkdir -p $(dir $@)
	$(CC) $(PURE_CFLAGS) -Isrc -o $@ $< $(BUILD)/libwsb.a $(PURE_LIBS)

bench-conditions: module $(BUILD)/bench/conditions
	$(BUILD)/bench/conditions
	bench/replay

clean:
	rm -rf $(BUILD)
