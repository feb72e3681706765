package hsmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

var nssPaths = []string{
	"/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
	"/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so",
	"/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
	"/usr/lib64/libsoftokn3.so",
}

// nssSlot is the slot of NSS's key database; slot 1 keeps no keys.
const nssSlot = uint(2)

var nss struct {
	sync.Once
	cfg hsm.Config
	err error
}

// NSS returns what opens an NSS key database of the test process's own, the
// second real module that the token layer is tried on. Where NSS is not
// installed (package libnss3), found is false; with STRONGROOM_TEST_NSS=1 that
// fails the test. STRONGROOM_NSS names another libsoftokn3.so, as a newer one.
func NSS(t testing.TB) (cfg hsm.Config, found bool) {
	t.Helper()
	for _, path := range append(slices.DeleteFunc([]string{os.Getenv("STRONGROOM_NSS")}, isEmpty), nssPaths...) {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		dir := filepath.Join(Dir(t), "nss")
		nss.Do(func() { nss.cfg, nss.err = makeNSS(path, dir) })
		if nss.err != nil {
			t.Fatalf("NSS database: %v", nss.err)
		}
		return nss.cfg, true
	}
	if os.Getenv("STRONGROOM_TEST_NSS") == "1" {
		t.Fatal("NSS is not installed (package libnss3), and STRONGROOM_TEST_NSS=1 asks for it")
	}
	return hsm.Config{}, false
}

func isEmpty(s string) bool { return s == "" }

func makeNSS(path, dir string) (hsm.Config, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hsm.Config{}, err
	}
	slot := nssSlot
	cfg := hsm.Config{PIN: hsm.NewSecret(PIN), Selector: hsm.Selector{
		Module: path, Slot: &slot,
		InitArgs: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", dir),
	}}
	lib, err := pkcs11.Library(cfg.Module, cfg.InitArgs)
	if err != nil {
		return cfg, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return cfg, lib.InitPIN(ctx, nssSlot, hsm.NewSecret(""), hsm.NewSecret(PIN))
}
