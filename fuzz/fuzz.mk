# make fuzz       each target for FUZZ_SECONDS, on a copy of its corpus
# make replay     build/replay/*: the targets as tests of their corpus
#
# Included by the Makefile at the top.

FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_SAN      = address,undefined

FUZZERS  := $(notdir $(basename $(wildcard fuzz/*_fuzz.c)))
FUZZ_INC  = -Isrc -It/unit -Ifuzz -Wno-unused-function
FUZZ_DEPS = fuzz/fuzz.h $(wildcard t/unit/*/*_ref.h) $(PURE) $(HEADERS)

.PHONY: fuzz replay

fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@for t in $(FUZZERS); do \
	    mkdir -p $(BUILD)/fuzz/corpus/$$t; \
	    dict=; [ ! -f fuzz/$$t.dict ] || dict=-dict=fuzz/$$t.dict; \
	    $(BUILD)/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	        -max_len=4096 $$dict -artifact_prefix=$(BUILD)/fuzz/$$t- \
	        $(BUILD)/fuzz/corpus/$$t $$(ls -d fuzz/corpus/$$t 2>/dev/null) \
	        >$(BUILD)/fuzz/$$t.log 2>&1 \
	        || { tail -40 $(BUILD)/fuzz/$$t.log; exit 1; }; \
	    echo "$$t: $$(tail -1 $(BUILD)/fuzz/$$t.log)"; \
	done

$(BUILD)/fuzz/%: fuzz/%.c $(FUZZ_DEPS)
	@mkdir -p $(dir $@)
	$(FUZZ_CC) -std=gnu11 -O1 -g -fsanitize=fuzzer,$(FUZZ_SAN) \
	    -fno-sanitize-recover=all $(FUZZ_INC) -o $@ $< $(PURE) $(PURE_LIBS)

replay: $(FUZZERS:%=$(BUILD)/replay/%)

$(BUILD)/replay/%: fuzz/%.c fuzz/replay.c $(BUILD)/libwsb.a $(FUZZ_DEPS)
	@mkdir -p $(dir $@)
	$(CC) $(PURE_CFLAGS) $(FUZZ_INC) -o $@ $< fuzz/replay.c \
	    $(BUILD)/libwsb.a $(PURE_LIBS)
