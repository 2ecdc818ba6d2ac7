# Builds Wherry. GNU make 4.3; the layers of pkg/ are listed in pkg/README.md.
#
#   make                     the program, build/wherry (static; wherry.debug is the unstripped one)
#   make unit                unit tests of every folder       make unit-json TEST_FILTER='Yaml*'
#   make test                everything that is tested        make integration | e2e | transcripts
#   make lint | format       checks | clang-format in place   make bench | fuzz | clean
#   make lib-json            only one folder's library
#   make fuzz-long           the fuzz targets under clang's libFuzzer, MINUTES=10 each, JOBS=2 at a time; what it
#                            finds new is merged into tests/fuzz/corpus (FUZZ='yaml spdy' names targets)
#
#   BUILD=dir    where results go (build)     ARCH=aarch64   cross build
#   SAN=address,undefined | thread            sanitizers, in a build folder of their own
#   V=1          shows the commands

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

# Settings of one developer's machine; not part of the project.
-include .make.local

BUILD ?= build
NATIVE := $(shell uname -m)
ARCH ?= $(NATIVE)
SAN ?=
V ?=
VERSION ?= v0.1.0
comma := ,
ifneq ($(SAN),)
override BUILD := $(BUILD)-$(subst $(comma),-,$(SAN))
endif
NATIVE_BUILD := $(BUILD)
ifneq ($(ARCH),$(NATIVE))
GEN ?= $(NATIVE_BUILD)/gen
override BUILD := $(BUILD)-$(ARCH)
endif
GEN ?= $(BUILD)/gen
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $(patsubst $(BUILD)/%,%,$@)")

# ---- Tools and flags: one set for every folder

CROSS := $(if $(filter $(NATIVE),$(ARCH)),,$(ARCH)-linux-gnu-)
GCC := $(CROSS)gcc
GXX := $(if $(filter clang,$(COMPILER)),clang++,$(CROSS)g++)
AR := $(CROSS)ar
STRIP := $(CROSS)strip
CCACHE ?= $(shell command -v ccache)

THIRD_PARTY := $(shell third_party/build.sh --dir $(ARCH))
ifeq ($(THIRD_PARTY),)
$(error third_party/build.sh --dir failed)
endif
SYSROOT := $(if $(CROSS),$(THIRD_PARTY)/sysroot)
SYSROOT_INCLUDES := $(if $(CROSS),-isystem $(SYSROOT)/usr/include -isystem $(SYSROOT)/usr/include/$(ARCH)-linux-gnu)
SYSROOT_LIBS := $(if $(CROSS),-L$(SYSROOT)/usr/lib/$(ARCH)-linux-gnu -L$(SYSROOT)/lib/$(ARCH)-linux-gnu)

WARNINGS := -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror -Wno-missing-field-initializers \
            $(if $(filter clang,$(COMPILER)),-Wthread-safety,-Wno-restrict)
DEFINES := -D_GNU_SOURCE -D_GLIBCXX_ASSERTIONS -DCURL_STATICLIB -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
INCLUDES := -Ipkg -I$(GEN) -isystem $(THIRD_PARTY)/include $(SYSROOT_INCLUDES)
ifneq ($(CROSS),)
# CLI11 is headers only and the same for every machine, but a cross compiler does not look there.
INCLUDES += -idirafter $(THIRD_PARTY)/host-include
endif
OPTIMISE := -O2 -g1
ifneq ($(SAN),)
# GCC's flow analysis loses its way in instrumented code.
WARNINGS += $(if $(filter clang,$(COMPILER)),,-Wno-maybe-uninitialized -Wno-tsan)
# Line numbers are enough for a report; whole debug information doubles the time of a build.
OPTIMISE := -O1 -g1 -fno-omit-frame-pointer -fsanitize=$(SAN)
# Of fmt's library, which GCC compiled, clang looks for one function under another name.
DEFINES += $(if $(filter clang,$(COMPILER)),-DFMT_HEADER_ONLY)
endif
# Code is compiled for size, less than half the bytes and so fewer pages in memory, except what runs
# for each request or each event a watcher is told.
QUICK := base json store http \
  $(addprefix api/,apply cells decode decode_json decode_text defaults field_set json_patch managed_fields meta object \
    printing protobuf_decode protobuf_encode protobuf_wire quantity schema selector status stored_form strategic_patch strict table typed) \
  $(addprefix apiserver/,authenticate authorise encode encode_list flow_level forms handler handler_verbs local_client machinery_body machinery_commit \
    machinery_read machinery_write negotiate parameters rbac_index request routes server store_cache token turns watch)
small = $(if $(SAN)$(filter clang,$(COMPILER)),,$(if $(filter $(QUICK:%=pkg/%/%) $(QUICK:%=pkg/%.cc),$(1)),,-Os))
# char is signed on x86_64 and not on aarch64; what was tested on the one is to hold on the other.
CODE := $(OPTIMISE) $(if $(filter aarch64,$(ARCH)),-fsigned-char) -ffunction-sections -fdata-sections -fstack-protector-strong
override CXXFLAGS += -std=c++20 $(CODE) $(WARNINGS) $(DEFINES) $(INCLUDES)

STATIC := $(if $(SAN),,-static)
LIBS := -L$(THIRD_PARTY)/lib $(SYSROOT_LIBS) -Wl,--start-group -lhttplib -lcurl -lspdlog -lfmt -lyyjson \
        -lsqlite3 -lyaml-cpp -lseccomp -lssl -lcrypto -lzstd -lz -Wl,--end-group -lpthread -ldl
LDFLAGS += -Wl,--gc-sections $(if $(SAN),-fsanitize=$(SAN))
# Of functions that came out alike one is kept: 2 % of the program, and less to fetch from a card.
FOLD := $(if $(SAN),,-fuse-ld=gold -Wl,--icf=safe)

# ---- Folders, and who needs whom

layer = $(shell sed -n 's/^layer $(1): //p' pkg/README.md)
LOW := $(call layer,0) $(call layer,1)
LAYERED := $(LOW) $(call layer,2) $(call layer,3) $(call layer,4)
PRESENT := $(sort $(patsubst pkg/%/,%,$(dir $(wildcard pkg/*/*.cc))))
UNLISTED := $(filter-out $(LAYERED),$(PRESENT))
ifneq ($(UNLISTED),)
$(error pkg/README.md gives no layer to: $(UNLISTED))
endif

SCHEMAS := $(wildcard pkg/api/schema/*.schema)
SCHEMAC_SOURCES := $(filter-out %_test.cc,$(wildcard cmd/schemac/*.cc))
GENERATES := $(and $(SCHEMAS),$(SCHEMAC_SOURCES))
GEN_STAMP := $(if $(GENERATES),$(GEN)/.stamp)
GEN_SOURCES := $(if $(GENERATES),$(wildcard $(GEN)/*/*.cc))
SHIM_SOURCES := $(wildcard cmd/shim/*.c)

# "controller/api" for each pair where a file of the first includes one of the second.
EDGES := $(sort $(shell grep -oE '^\#include "[a-z_]+/' $(wildcard pkg/*/*.cc pkg/*/*.h cmd/*/*.cc cmd/*/*.h) /dev/null \
           | sed -E 's,^(pkg|cmd)/([a-z_]+)/[^:]*:.include "([a-z_]+)/,\2/\3,'))
direct = $(patsubst $(1)/%,%,$(filter $(1)/%,$(EDGES)))
widen = $(sort $(1) $(foreach folder,$(1),$(call direct,$(folder))))
closure = $(call widen,$(call widen,$(call widen,$(call widen,$(call widen,$(call widen,$(1)))))))
# From the top layer down, so that a linker reading left to right is content.
needed = $(filter $(call closure,$(1)),$(foreach n,4 3 2 1 0,$(LAYER_$(n))))
$(foreach n,0 1 2 3 4,$(eval LAYER_$(n) := $(filter $(PRESENT),$(call layer,$(n)))))
lib = $(patsubst %,$(BUILD)/lib/lib%.a,$(1))
group = -Wl,--start-group $(1) -Wl,--end-group

sources = $(filter-out %_test.cc %_fuzz.cc,$(wildcard pkg/$(1)/*.cc))
objects = $(patsubst %.cc,$(BUILD)/obj/%.o,$(1))
tests = $(wildcard pkg/$(1)/*_test.cc)
gen_object = $(patsubst $(GEN)/%.cc,$(BUILD)/obj/gen/%.o,$(1))

WHERRY_SOURCES := $(filter-out %_test.cc,$(wildcard cmd/wherry/*.cc))
TESTED := $(foreach folder,$(PRESENT),$(if $(call tests,$(folder)),$(folder)))
FUZZERS := $(wildcard pkg/*/*_fuzz.cc)

.PHONY: all
all: $(if $(WHERRY_SOURCES),$(BUILD)/wherry,$(call lib,$(PRESENT)))

# ---- Third-party libraries

$(THIRD_PARTY)/.done:
	$(Q)third_party/build.sh $(ARCH)
	$(Q)mkdir -p $(@D)/host-include && ln -sfn /usr/include/CLI $(@D)/host-include/CLI

.PHONY: third-party
third-party: $(THIRD_PARTY)/.done

# ---- Compiling. A result appears by rename: two makes in one folder do not trample on each other.

define compile
@mkdir -p $(dir $@)
$(Q)t=$@.$$$$; $(CCACHE) $(2) -MMD -MP -MF $$t.d -MT OBJECT -c $(1) -o $$t \
  && sed 's|^OBJECT:|$@:|' $$t.d > $(@:.o=.d) && rm -f $$t.d && mv $$t $@ \
  || { rm -f $$t $$t.d; exit 1; }
endef

# Only the files that state the version are compiled anew when it or the commit changes.
COMMIT := $(shell git rev-parse HEAD 2> /dev/null || echo unknown)
version_flags = $(if $(filter %/version.cc,$(1)),-DWHERRY_VERSION='"$(VERSION)"' -DWHERRY_COMMIT='"$(COMMIT)"')
VERSION_OBJECTS := $(patsubst %.cc,$(BUILD)/obj/%.o,$(wildcard cmd/wherry/version.cc pkg/*/version.cc))
$(VERSION_OBJECTS): $(BUILD)/version.txt
.PHONY: force
force:
$(BUILD)/version.txt: force
	@mkdir -p $(dir $@)
	@echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@

# After the schema compiler, except what that program itself is made of.
EARLY := $(call closure,schemac)
define folder_rules
$$(call objects,$$(wildcard $(1)/*.cc)): $$(BUILD)/obj/%.o: %.cc | $$(THIRD_PARTY)/.done $(2)
	$$(call say,C++ )
	$$(call compile,$$<,$$(GXX) $$(CXXFLAGS) $$(call small,$$<) $$(call version_flags,$$<))
endef
$(foreach f,$(PRESENT),$(eval $(call folder_rules,pkg/$(f),$(if $(filter $(LOW) $(EARLY),$(f)),,$(GEN_STAMP)))))
$(eval $(call folder_rules,cmd/schemac,))
$(eval $(call folder_rules,cmd/wherry,$(GEN_STAMP)))
$(foreach f,$(patsubst %/,%,$(sort $(dir $(wildcard tests/*/*.cc)))),$(eval $(call folder_rules,$(f),$(GEN_STAMP))))

define archive
@mkdir -p $(dir $@)
$(Q)t=$@.$$$$; rm -f $$t; $(AR) qcs $$t $(1) && mv $$t $@
endef

# Asked when the archive is made: by then the generated files are there.
gen_members = $(if $(GENERATES),$$(find $(GEN) -path $(GEN)/.new -prune -o -name '*.cc' -printf '%P\n' | LC_ALL=C sort \
  | sed 's,^\(.*\)[.]cc$$,$(BUILD)/obj/gen/\1.o,'))

define library_rules
$$(BUILD)/lib/lib$(1).a: $$(call objects,$$(call sources,$(1)))
	$$(call say,LIB )
	$$(call archive,$$(filter-out $$(BUILD)/obj/gen/%,$$(filter %.o,$$^)) $$(if $$(filter api,$(1)),$$(gen_members)))
.PHONY: lib-$(1)
lib-$(1): $$(BUILD)/lib/lib$(1).a
endef
$(foreach folder,$(PRESENT),$(eval $(call library_rules,$(folder))))

# For the checks: compiles everything, links nothing; each header compiles alone.
.PHONY: objects headers print-flags
objects: $(call objects,$(filter-out tests/fuzz/%,$(wildcard pkg/*/*.cc cmd/wherry/*.cc cmd/schemac/*.cc tests/*/*.cc)))
HEADERS := $(wildcard pkg/*/*.h cmd/wherry/*.h cmd/schemac/*.h)
headers: $(HEADERS:%.h=$(BUILD)/obj/%.h.o)
$(HEADERS:%.h=$(BUILD)/obj/%.h.o): $(BUILD)/obj/%.h.o: %.h | $(THIRD_PARTY)/.done $(GEN_STAMP)
	$(call say,H   )
	$(call compile,-x c++ $<,$(GXX) $(CXXFLAGS) -Wno-unused-function $(if $(filter clang,$(COMPILER)),-Wno-pragma-once-outside-header -Wno-unused-const-variable))
print-flags: $(GEN_STAMP)
	@echo $(CXXFLAGS)

# ---- The schema compiler and what it makes

ifneq ($(GENERATES),)
$(BUILD)/schemac: $(call objects,$(SCHEMAC_SOURCES)) $(call lib,$(call needed,schemac))
	$(call say,LINK)
	$(Q)t=$@.$$$$; scripts/quiet-link.sh $(GXX) $(LDFLAGS) $(STATIC) \
	  $(filter %.o,$^) $(call group,$(filter %.a,$^)) $(LIBS) -o $$t && mv $$t $@

ifeq ($(CROSS),)
$(GEN_STAMP): $(SCHEMAS) $(BUILD)/schemac
	$(call say,GEN )
	$(Q)scripts/generate.sh $(GEN) $(BUILD)/schemac $(SCHEMAS)
else
# The compiler runs here, so the build for this machine makes it.
.PHONY: native-gen
native-gen:
	$(Q)$(MAKE) --no-print-directory ARCH=$(NATIVE) BUILD=$(NATIVE_BUILD) GEN=$(GEN) SAN= gen
$(GEN_STAMP): native-gen ;
endif

# The list of generated files is known only after that, hence a second make for their objects.
$(BUILD)/obj/gen/.stamp: $(GEN_STAMP)
	@mkdir -p $(dir $@)
	$(Q)$(MAKE) --no-print-directory GEN_INNER=1 gen-objects && touch $@
$(BUILD)/lib/libapi.a: $(BUILD)/obj/gen/.stamp $(call gen_object,$(GEN_SOURCES))
endif

$(call gen_object,$(GEN_SOURCES)): $(BUILD)/obj/gen/%.o: $(GEN)/%.cc | $(if $(GEN_INNER),,$(BUILD)/obj/gen/.stamp)
	$(call say,C++ )
	$(call compile,$<,$(GXX) $(CXXFLAGS))
.PHONY: gen-objects gen
gen-objects: $(call gen_object,$(GEN_SOURCES))
	@:
gen: $(GEN_STAMP)
	@:

# ---- The pod shim, a small C program carried inside the container library

ifneq ($(SHIM_SOURCES),)
SHIM_CFLAGS := -std=c11 -Os -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -ffunction-sections -fdata-sections
SHIM_LDFLAGS := -static -s -Wl,--gc-sections
-include cmd/shim/shim.mk

$(BUILD)/shim: $(SHIM_SOURCES) $(wildcard cmd/shim/*.h cmd/shim/*.mk)
	$(call say,C   )
	@mkdir -p $(dir $@)
	$(Q)t=$@.$$$$; $(GCC) $(SHIM_CFLAGS) $(SHIM_SOURCES) $(SHIM_LDFLAGS) -o $$t && mv $$t $@

$(BUILD)/obj/shim_blob.o: $(BUILD)/shim
	$(call say,ASM )
	@mkdir -p $(dir $@)
	$(Q)printf '%s\n' '.section .rodata.wherry_shim,"a"' '.balign 64' '.global wherry_shim_start' \
	  'wherry_shim_start: .incbin "$<"' '.global wherry_shim_end' 'wherry_shim_end: .byte 0' \
	  '.section .note.GNU-stack,"",%progbits' > $(@:.o=.S)
	$(Q)$(GCC) -c $(@:.o=.S) -o $@
$(BUILD)/lib/libcontainer.a: $(BUILD)/obj/shim_blob.o
endif

# ---- The program

$(BUILD)/wherry.debug: $(call objects,$(WHERRY_SOURCES)) $(call lib,$(call needed,wherry))
	$(call say,LINK)
	$(Q)t=$@.$$$$; scripts/quiet-link.sh $(GXX) $(LDFLAGS) $(FOLD) $(STATIC) $(filter %.o,$^) \
	  $(call group,$(filter %.a,$^)) $(LIBS) -o $$t && mv $$t $@

$(BUILD)/wherry: $(BUILD)/wherry.debug
	$(call say,STRIP)
	$(Q)t=$@.$$$$; $(STRIP) -o $$t $< && mv $$t $@

# ---- Tests

TEST_FILTER ?= *
define unit_rules
$$(BUILD)/test/$(1)_test: $$(call objects,$$(call tests,$(1))) $$(call lib,$$(call needed,$(1)))
	$$(call say,LINK)
	@mkdir -p $$(dir $$@)
	$$(Q)t=$$@.$$$$$$$$; scripts/quiet-link.sh $$(GXX) $$(LDFLAGS) $$(filter %.o,$$^) \
	  $$(call group,$$(filter %.a,$$^)) -lgmock -lgtest -lgtest_main $$(LIBS) -o $$$$t && mv $$$$t $$@
.PHONY: unit-$(1)
unit-$(1): $$(BUILD)/test/$(1)_test
	$$(Q)$$< --gtest_brief=1 --gtest_filter='$$(TEST_FILTER)'
endef
$(foreach folder,$(TESTED),$(eval $(call unit_rules,$(folder))))

UNIT_PROGRAMS := $(patsubst %,$(BUILD)/test/%_test,$(TESTED))
.PHONY: unit-programs unit transcripts integration e2e sim bench test lint format fuzz clean
unit-programs: $(UNIT_PROGRAMS)
unit: $(UNIT_PROGRAMS)
	$(Q)UNIT_PROGRAMS='$(abspath $(UNIT_PROGRAMS))' TEST_FILTER='$(TEST_FILTER)' scripts/test.sh --build $(BUILD) unit
transcripts: all
	$(Q)scripts/test.sh --build $(BUILD) api
integration e2e sim: all test-programs
	$(Q)scripts/test.sh --build $(BUILD) $@
test: all $(UNIT_PROGRAMS) fuzz-programs test-programs
	$(Q)UNIT_PROGRAMS='$(abspath $(UNIT_PROGRAMS))' scripts/test.sh --build $(BUILD)
bench: all test-programs
	$(Q)BUILD=$(BUILD) tests/bench/run.sh $(BENCH_ARGS)

# Each fuzz target is a program with a small driver: corpus first, then seeded mutations. With
# SAN=fuzzer-no-link,... libFuzzer drives instead, which watches what an input reaches; clang has it.
LIBFUZZER := $(findstring fuzzer-no-link,$(SAN))
FUZZ_DRIVER := $(if $(LIBFUZZER),,$(BUILD)/obj/tests/fuzz/main.o)
define fuzz_rules
$$(BUILD)/fuzz/$(notdir $(basename $(1))): $$(BUILD)/obj/$(basename $(1)).o $$(FUZZ_DRIVER) \
    $$(call lib,$$(call needed,$(notdir $(patsubst %/,%,$(dir $(1))))))
	$$(call say,LINK)
	@mkdir -p $$(dir $$@)
	$$(Q)t=$$@.$$$$$$$$; scripts/quiet-link.sh $$(GXX) $$(LDFLAGS) $$(if $$(LIBFUZZER),-fsanitize=fuzzer) \
	  $$(filter %.o,$$^) $$(call group,$$(filter %.a,$$^)) $$(LIBS) -o $$$$t && mv $$$$t $$@
endef
$(foreach fuzzer,$(FUZZERS),$(eval $(call fuzz_rules,$(fuzzer))))
FUZZ_PROGRAMS := $(patsubst %.cc,$(BUILD)/fuzz/%,$(notdir $(FUZZERS)))
.PHONY: fuzz-programs test-programs

# tests/NAME/x.cc is a program of its own, BUILD/tests/NAME/x, linked with every folder.
define program_rules
$$(BUILD)/$(1): $$(BUILD)/obj/$(1).o $$(call lib,$$(call needed,$$(PRESENT)))
	$$(call say,LINK)
	@mkdir -p $$(dir $$@)
	$$(Q)t=$$@.$$$$$$$$; scripts/quiet-link.sh $$(GXX) $$(LDFLAGS) $$(filter %.o,$$^) \
	  $$(call group,$$(filter %.a,$$^)) -lgmock -lgtest $$(LIBS) -o $$$$t && mv $$$$t $$@
endef
TEST_PROGRAMS := $(basename $(filter-out tests/fuzz/%,$(wildcard tests/*/*.cc)))
$(foreach program,$(TEST_PROGRAMS),$(eval $(call program_rules,$(program))))
test-programs: $(addprefix $(BUILD)/,$(TEST_PROGRAMS))

fuzz-programs: $(FUZZ_PROGRAMS)
fuzz: $(FUZZ_PROGRAMS)
	$(Q)scripts/test.sh --build $(BUILD) fuzz

# In a build folder of its own: everything is compiled by clang, to tell libFuzzer what it reaches.
FUZZ ?= $(patsubst %_fuzz.cc,%,$(notdir $(FUZZERS)))
FUZZ_SAN := fuzzer-no-link,address,undefined
.PHONY: fuzz-long
fuzz-long:
	$(Q)$(MAKE) --no-print-directory COMPILER=clang SAN=$(FUZZ_SAN) \
	  $(FUZZ:%=$(BUILD)-$(subst $(comma),-,$(FUZZ_SAN))/fuzz/%_fuzz)
	$(Q)MINUTES='$(MINUTES)' JOBS='$(JOBS)' scripts/fuzz-long.sh $(BUILD)-$(subst $(comma),-,$(FUZZ_SAN)) $(FUZZ)

lint:
	$(Q)BUILD=$(BUILD) scripts/lint.sh $(LINT_ARGS)
format:
	$(Q)scripts/lint.sh --fix-format

# Third-party results stay: they are shared, and named by what they were made from.
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2> /dev/null)
