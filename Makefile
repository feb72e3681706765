# Strongroom's commands. `make help` lists them.

SHELL   := /bin/bash
GO      ?= go
MODULE  ?= $(firstword $(wildcard /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so))
ARGS    ?=
FUZZTIME ?= 60s
KILLS   ?= 300
# Which of other people's programs `make clients` runs: all of them if none is named; and programs that it cannot have itself.
CLIENTS ?=
AWS_ENCRYPTION_PROVIDER ?=
TOFU    ?=
BAO     ?=
export AWS_ENCRYPTION_PROVIDER TOFU BAO
# Which tests `make tokens` runs. Those that need PKCS#11 3.2 are Kryoptic|MLDSA|MLKEM|Ed25519ph.
TOKENS_RUN ?= .
TESTFLAGS ?= -race -timeout 20m

.PHONY: help run build test clients tokens test-deps check house bench fuzz torture clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

run: ## install SoftHSM2 if it is missing, build, and run an appliance kept in .strongroom
	@deploy/install-deps run
	@$(MAKE) --no-print-directory build
	bin/strongroom dev --dir .strongroom $(ARGS)

build: ## build bin/strongroom
	CGO_ENABLED=1 $(GO) build -trimpath -o bin/strongroom ./cmd/strongroom

test-deps: ## install what the tests need: SoftHSM2, the Debian AWS CLI, a C compiler
	@deploy/install-deps test

test: test-deps ## run every test with the race detector
	$(GO) test $(TESTFLAGS) ./...
	cd testdata/clients && $(GO) test ./...

clients: test-deps ## run other people's programs and SDKs against the appliance, also those that take minutes to build: docs/clients.md
	testdata/clients/run $(CLIENTS)

tokens: ## build a token with PKCS#11 3.2 (minutes, once); on it run the tests that need one, and those of the token layer
	@deploy/install-deps tokens
	testdata/tokens/build .build/tokens
	STRONGROOM_TEST_TOKENS=kryoptic $(GO) test $(TESTFLAGS) -tags tokens -run '$(TOKENS_RUN)' \
	  -skip "$$(sed -n 's/^\([^#\t]*\)\t.*/\1/p' testdata/tokens/skip | paste -sd '|')" \
	  ./hsm/... ./api ./xks/tokenkeys ./xks/proxy
	$(GO) test $(TESTFLAGS) -tags tokens -run 'TestLatticeKeys' ./cmd/strongroom

check: ## formatting, vet, staticcheck, the build without cgo, the rules of the house
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$out" ]; then echo "gofmt these files:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags tokens ./hsm/... ./api ./cmd/strongroom
	$(GO) tool staticcheck ./...
	CGO_ENABLED=0 $(GO) build ./...
	$(GO) test -run 'TestHouse' ./cmd/strongroom

bench: build ## compare the appliance with the token's own speed
	bin/strongroom bench $(ARGS)

fuzz: ## run every fuzz target for FUZZTIME (default 60s)
	@set -e; for file in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' $$file); do \
	    echo "$$target in $$(dirname $$file)"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); \
	  done; done

torture: test-deps ## kill and restart the appliance KILLS times (default 300)
	STRONGROOM_KILLS=$(KILLS) $(GO) test -timeout 120m -v -run 'TestKill' ./cmd/strongroom

clean: ## remove what was built; the appliance in .strongroom stays
	rm -rf bin
