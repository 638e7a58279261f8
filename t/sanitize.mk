# make asan          a static nginx with ASan, UBSan and a malloc() for each
#                    allocation of a pool, from NGINX_SRC or, without one, from
#                    the distribution's source package; all of t/ under it
# make asan-preload  the module with ASan and UBSan in the installed nginx, and
#                    the unit programs: what needs no source tree
# make asan-unit     the unit programs and the replayed corpora with both
# make valgrind      the installed nginx, as one process, under memcheck
#
# TESTS_ASAN, TESTS_PRELOAD, TESTS_VALGRIND: other files than these.
#
# Included by the Makefile at the top.

TESTS_ASAN     ?= t
TESTS_PRELOAD  ?= t/00-unit.t t/03-fuzz-corpus.t t/11-frames.t \
                  t/13-conformance.t t/14-deflate.t t/20-bus-protocol.t \
                  t/30-publish.t t/40-broadcast.t t/104-restrict.t \
                  t/110-jwt.t t/112-jwt-session.t t/120-tenant.t
TESTS_VALGRIND ?= t/10-handshake.t t/11-frames.t t/14-deflate.t \
                  t/20-bus-protocol.t t/30-publish.t

SAN       := -fsanitize=address,undefined -fno-omit-frame-pointer
# what they put in makes gcc see variables that are not set
SAN_PURE   = -O1 -g $(SAN) -fno-sanitize-recover=all -Wno-maybe-uninitialized
SAN_DEFINE = -DNGX_DEBUG_PALLOC=1 -DNGX_HAVE_NONALIGNED=0
SAN_WITH   = ssl v2 realip auth_request addition sub dav gunzip gzip_static \
             secure_link stub_status
SAN_DIR    = $(BUILD)/asan
SAN_TREE   = $(if $(NGINX_SRC),$(abspath $(NGINX_SRC)),$(SAN_DIR)/source)
SAN_NGINX  = $(SAN_DIR)/nginx/nginx
SAN_MODULE = $(SAN_DIR)/module/ngx_http_ws_bus_module.so
VG_DIR     = $(BUILD)/valgrind
VG_MODULE  = $(VG_DIR)/module/ngx_http_ws_bus_module.so
comma     := ,
SAN_ALL   := $(PURE) $(GLUE) $(HEADERS)

# slower than usual, but nobody waits for ever
SAN_ENV    = BUILD=$(SAN_DIR)/pure WSB_TIMEOUT=60 WSB_SANITIZED=1 \
             LC_ALL=C.UTF-8
SAN_PROVE  = prove -It/lib

# a script that starts an nginx: its path, what to put into the environment.
# That a process leaves what it has to the system is no leak to nginx
SAN_SCRIPT = mkdir -p $(dir $@) && { echo '\#!/bin/sh'; \
             echo "export ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0"; \
             echo $(2); echo "exec '$(1)'" '"$$@"'; } >$@ && chmod 755 $@
INSTALLED  = $(shell PATH=$$PATH:/usr/sbin:/sbin command -v nginx)

.PHONY: asan asan-preload asan-unit valgrind


asan: $(SAN_NGINX) $(SAN_DIR)/static asan-unit
	$(SAN_ENV) WSB_NGINX=$(SAN_DIR)/static WSB_STATIC=1 $(SAN_PROVE) $(TESTS_ASAN)

asan-preload: $(SAN_MODULE) $(SAN_DIR)/preload asan-unit
	$(SAN_ENV) WSB_NGINX=$(SAN_DIR)/preload WSB_MODULE=$(SAN_MODULE) \
	    $(SAN_PROVE) $(TESTS_PRELOAD)

asan-unit:
	@$(MAKE) -s unit BUILD=$(SAN_DIR)/pure PURE_OPT='$(SAN_PURE)'


# the distribution's, patched, as far as it is not there yet

$(SAN_DIR)/source:
	t/asan-source $@

$(SAN_DIR)/nginx/Makefile: t/sanitize.mk config $(BUILD)/sources $(if $(NGINX_SRC),,$(SAN_DIR)/source)
	@mkdir -p $(SAN_DIR)
	cd $(SAN_TREE) && unset CFLAGS && \
	    $$(test -x configure && echo ./configure || echo auto/configure) \
	    --builddir=$(SAN_DIR)/nginx --add-module=$(TOP) \
	    --with-cc-opt='-O1 -g $(SAN) $(SAN_DEFINE)' \
	    --with-ld-opt='$(SAN)' --with-compat --with-debug --with-threads \
	    $(patsubst %,--with-http_%_module,$(SAN_WITH)) \
	    >$(SAN_DIR)/nginx.log 2>&1 || { cat $(SAN_DIR)/nginx.log; false; }

$(SAN_NGINX): $(SAN_DIR)/nginx/Makefile $(SAN_ALL)
	$(MAKE) -s -f $(SAN_DIR)/nginx/Makefile -C $(SAN_TREE) binary


# the module for the installed nginx, in a directory of its own: compiler and
# linker options

MODULE_CONF = mkdir -p $(dir $@) && cd $(DEB_SRC) && unset CFLAGS && \
    . ./conf_flags && ./configure "$${NGX_CONF_FLAGS[@]}" \
    --builddir=$(dir $@) --add-dynamic-module=$(TOP) \
    --with-cc-opt='-O1 -g -fPIC $(1)' --with-ld-opt='-fPIC $(2)' \
    >$(dir $@)configure.log 2>&1 || { cat $(dir $@)configure.log; false; }
MODULE_DEPS = t/sanitize.mk config $(BUILD)/sources $(DEB_SRC)/conf_flags

$(SAN_DIR)/module/Makefile: $(MODULE_DEPS)
	@$(call MODULE_CONF,$(SAN),$(SAN))

$(VG_DIR)/module/Makefile: $(MODULE_DEPS)
	@$(call MODULE_CONF,,-Wl$(comma)-z$(comma)nodelete)

$(SAN_MODULE) $(VG_MODULE): %/ngx_http_ws_bus_module.so: %/Makefile $(SAN_ALL)
	$(MAKE) -s -f $< -C $(DEB_SRC) modules

$(SAN_DIR)/static: t/sanitize.mk
	@$(call SAN_SCRIPT,$(SAN_NGINX))

# an nginx that has the runtimes that the module needs

$(SAN_DIR)/preload: t/sanitize.mk
	@$(call SAN_SCRIPT,$(INSTALLED),"export LD_PRELOAD='$$($(CC) \
	    -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)'")


# One process, since memcheck does not show the titles by which workers are
# told. The module stays when nginx lets go of it at its end: what it still
# has is not lost. What memcheck finds is in the logs.

valgrind: $(VG_MODULE)
	@rm -f $(VG_DIR)/*.log
	@{ echo '#!/bin/sh'; \
	  echo 'exec valgrind -q --leak-check=full --num-callers=20 \'; \
	  echo "    --show-leak-kinds=definite --log-file=$(VG_DIR)/%p.log \\"; \
	  echo "    --suppressions=$(TOP)/t/sanitize.supp '$(INSTALLED)'" '"$$@"'; \
	} >$(VG_DIR)/nginx && chmod 755 $(VG_DIR)/nginx
	WSB_NGINX=$(VG_DIR)/nginx WSB_MODULE=$(VG_MODULE) WSB_SINGLE=1 \
	    WSB_SANITIZED=1 WSB_TIMEOUT=120 LC_ALL=C.UTF-8 \
	    $(SAN_PROVE) $(TESTS_VALGRIND)
	@ls $(VG_DIR)/*.log >/dev/null
	@if grep -h . $(VG_DIR)/*.log; then false; else \
	    echo "valgrind: nothing to report in" \
	         "$$(ls $(VG_DIR)/*.log | wc -l) processes"; fi
