# make asan          a static nginx with ASan, UBSan and a malloc() for each
#                    allocation of a pool, from NGINX_SRC or, without one, from
#                    the distribution's source package; all of t/ under it
# make asan-preload  the module with ASan and UBSan in the installed nginx
# make asan-unit     the unit programs and the replayed corpora with both
# make valgrind      the installed nginx, as one process, under memcheck
#
# TESTS_ASAN, TESTS_PRELOAD, TESTS_VALGRIND: other files than these.
#
# Included by the Makefile at the top.

TESTS_ASAN     ?= t
TESTS_PRELOAD  ?= t/11-frames.t t/13-conformance.t t/20-bus-protocol.t \
                  t/30-publish.t t/40-broadcast.t
TESTS_VALGRIND ?= t/10-handshake.t t/11-frames.t t/14-deflate.t \
                  t/20-bus-protocol.t t/30-publish.t

SAN       := -fsanitize=address,undefined -fno-omit-frame-pointer
SAN_DIR    = $(BUILD)/asan
SAN_TREE   = $(if $(NGINX_SRC),$(abspath $(NGINX_SRC)),$(SAN_DIR)/source)
SAN_NGINX  = $(SAN_DIR)/nginx/nginx
SAN_MODULE = $(SAN_DIR)/module/ngx_http_ws_bus_module.so
SAN_ALL   := $(PURE) $(GLUE) $(HEADERS)

# slower than usual, but nobody waits for ever
SAN_ENV    = BUILD=$(SAN_DIR)/pure WSB_TIMEOUT=60 WSB_SANITIZED=1 \
             UBSAN_OPTIONS=print_stacktrace=1 LC_ALL=C.UTF-8
SAN_PROVE  = prove -It/lib

.PHONY: asan asan-preload asan-unit valgrind


asan: $(SAN_NGINX) asan-unit
	$(SAN_ENV) WSB_NGINX=$(SAN_NGINX) WSB_STATIC=1 $(SAN_PROVE) $(TESTS_ASAN)

asan-preload: $(SAN_MODULE) $(SAN_DIR)/preload
	$(SAN_ENV) WSB_NGINX=$(SAN_DIR)/preload WSB_MODULE=$(SAN_MODULE) \
	    $(SAN_PROVE) $(TESTS_PRELOAD)

# what the sanitizers put in makes gcc see variables that are not set

asan-unit:
	@$(MAKE) -s unit BUILD=$(SAN_DIR)/pure PURE_OPT='-O1 -g $(SAN) \
	    -fno-sanitize-recover=all -Wno-maybe-uninitialized'


# the distribution's, patched, as far as it is not there yet

$(SAN_DIR)/source:
	t/asan-source $@

$(SAN_DIR)/nginx/Makefile: config $(BUILD)/sources $(if $(NGINX_SRC),,$(SAN_DIR)/source)
	@mkdir -p $(SAN_DIR)
	cd $(SAN_TREE) && unset CFLAGS && \
	    $$(test -x configure && echo ./configure || echo auto/configure) \
	    --builddir=$(SAN_DIR)/nginx --add-module=$(TOP) \
	    --with-cc-opt='-O1 -g $(SAN) -DNGX_DEBUG_PALLOC=1' \
	    --with-ld-opt='$(SAN)' --with-compat --with-debug --with-threads \
	    --with-http_ssl_module --with-http_v2_module \
	    --with-http_realip_module --with-http_auth_request_module \
	    >$(SAN_DIR)/nginx.log 2>&1 || { cat $(SAN_DIR)/nginx.log; false; }

$(SAN_NGINX): $(SAN_DIR)/nginx/Makefile $(SAN_ALL)
	$(MAKE) -s -f $(SAN_DIR)/nginx/Makefile -C $(SAN_TREE) binary


$(SAN_DIR)/module/Makefile: config $(BUILD)/sources $(DEB_SRC)/conf_flags
	@mkdir -p $(SAN_DIR)
	cd $(DEB_SRC) && unset CFLAGS && . ./conf_flags && \
	    ./configure "$${NGX_CONF_FLAGS[@]}" \
	    --builddir=$(SAN_DIR)/module --add-dynamic-module=$(TOP) \
	    --with-cc-opt='-O1 -g -fPIC $(SAN)' --with-ld-opt='-fPIC $(SAN)' \
	    >$(SAN_DIR)/module.log 2>&1 || { cat $(SAN_DIR)/module.log; false; }

$(SAN_MODULE): $(SAN_DIR)/module/Makefile $(SAN_ALL)
	$(MAKE) -s -f $(SAN_DIR)/module/Makefile -C $(DEB_SRC) modules

# an nginx that has the runtimes the module needs

$(SAN_DIR)/preload: t/sanitize.mk
	@mkdir -p $(SAN_DIR)
	{ echo '#!/bin/sh'; \
	  echo "LD_PRELOAD='$$($(CC) -print-file-name=libasan.so)" \
	       "$$($(CC) -print-file-name=libubsan.so)'"; \
	  echo 'export LD_PRELOAD'; \
	  echo "exec '$$(PATH=$$PATH:/usr/sbin:/sbin command -v nginx)'" '"$$@"'; \
	} >$@
	chmod 755 $@


# one process, since memcheck does not show the titles by which workers are
# told; what it finds is in the logs

VALGRIND_DIR = $(BUILD)/valgrind

valgrind: module
	@rm -rf $(VALGRIND_DIR) && mkdir -p $(VALGRIND_DIR)
	{ echo '#!/bin/sh'; \
	  echo 'exec valgrind -q --leak-check=full --num-callers=20 \'; \
	  echo "    --errors-for-leak-kinds=definite --log-file=$(VALGRIND_DIR)/%p.log \\"; \
	  echo "    --show-leak-kinds=definite --suppressions=$(TOP)/t/sanitize.supp \\"; \
	  echo "    '$$(PATH=$$PATH:/usr/sbin:/sbin command -v nginx)'" '"$$@"'; \
	} >$(VALGRIND_DIR)/nginx
	chmod 755 $(VALGRIND_DIR)/nginx
	WSB_NGINX=$(VALGRIND_DIR)/nginx WSB_SINGLE=1 WSB_SANITIZED=1 \
	    WSB_TIMEOUT=120 LC_ALL=C.UTF-8 $(SAN_PROVE) $(TESTS_VALGRIND)
	@ls $(VALGRIND_DIR)/*.log >/dev/null
	@if grep -h . $(VALGRIND_DIR)/*.log; then false; else \
	    echo "valgrind: nothing to report in" \
	         "$$(ls $(VALGRIND_DIR)/*.log | wc -l) processes"; fi
