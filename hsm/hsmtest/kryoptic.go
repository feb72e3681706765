package hsmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// kryopticSlots is how many tokens a test process can make in Kryoptic, which knows as many slots as its configuration names.
const kryopticSlots = 256

var kryoptic struct {
	sync.Once
	err error
}

// KryopticPath is where `make tokens` puts Kryoptic's module: a software token with PKCS#11 3.2, for ML-DSA, ML-KEM and
// Ed25519ph, and the second module that keys of all kinds are tried on. STRONGROOM_KRYOPTIC names another place. A machine
// without it fails the test.
func KryopticPath(t testing.TB) string {
	t.Helper()
	path := os.Getenv("STRONGROOM_KRYOPTIC")
	if path == "" {
		_, here, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(here), "..", "..", ".build", "tokens", "libkryoptic_pkcs11.so")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Kryoptic is not built (make tokens): %v", err)
	}
	return path
}

// Kryoptic makes fresh Kryoptic tokens for a test, one for each label, as [SoftHSM] does.
func Kryoptic(t testing.TB, labels ...string) *Tokens {
	t.Helper()
	dir := filepath.Join(Dir(t), "kryoptic")
	kryoptic.Do(func() {
		if kryoptic.err = WriteKryopticConf(dir); kryoptic.err == nil {
			kryoptic.err = os.Setenv("KRYOPTIC_CONF", filepath.Join(dir, kryopticConf))
		}
	})
	if kryoptic.err != nil {
		t.Fatalf("Kryoptic directory: %v", kryoptic.err)
	}
	out := &Tokens{t: t, Module: KryopticPath(t), Conf: filepath.Join(dir, kryopticConf), names: make(map[string]string)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, label := range labels {
		shared.count++
		name := fmt.Sprintf("%d-%s", shared.count, label)
		if _, err := pkcs11.InitToken(ctx, out.Module, name, hsm.NewSecret(SOPIN), hsm.NewSecret(PIN)); err != nil {
			t.Fatalf("make token %q: %v", name, err)
		}
		out.names[label] = name
	}
	return out
}

const kryopticConf = "kryoptic.conf"

// WriteKryopticConf makes a directory with kryoptic.conf, which KRYOPTIC_CONF names, and room for tokens.
func WriteKryopticConf(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var conf strings.Builder
	for slot := range kryopticSlots {
		fmt.Fprintf(&conf, "[[slots]]\nslot = %d\ndbtype = \"sqlite\"\ndbargs = %q\n", slot, filepath.Join(dir, fmt.Sprintf("%d.sql", slot)))
	}
	return os.WriteFile(filepath.Join(dir, kryopticConf), []byte(conf.String()), 0o600)
}
