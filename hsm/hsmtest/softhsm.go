// Package hsmtest gives tests real tokens: SoftHSM2 in a directory of the test
// process's own, NSS where it is installed, and a module that fails on demand
// in front of either. Only tests import it.
package hsmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// PINs of all test tokens.
const (
	PIN   = "123456"
	SOPIN = "12345678"
)

// modulePaths are where distributions keep SoftHSM2's library.
var modulePaths = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// ModulePath finds SoftHSM2: STRONGROOM_PKCS11_MODULE if that is set, or where
// distributions put it. A machine without it fails the test.
func ModulePath(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("STRONGROOM_PKCS11_MODULE"); p != "" {
		return p
	}
	for _, p := range modulePaths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Fatal("SoftHSM2 is not installed (package softhsm2); its tests cannot run without it")
	return ""
}

// shared is the process's SoftHSM2 directory. The library reads its
// configuration once for each initialisation and knows one configuration in a
// process, so all tests of a binary share a directory and make tokens in it.
var shared struct {
	sync.Once
	dir    string
	err    error
	mu     sync.Mutex
	count  int // of tokens and keys
	copies int // of the library
}

const dirPrefix = "strongroom-softhsm-"

// Dir returns the process's SoftHSM2 directory, with softhsm2.conf and tokens/
// in it, and points SOFTHSM2_CONF there. Directories of test processes that
// have ended are removed on the way.
func Dir(t testing.TB) string {
	t.Helper()
	shared.Do(func() { shared.dir, shared.err = makeDir() })
	if shared.err != nil {
		t.Fatalf("SoftHSM2 directory: %v", shared.err)
	}
	return shared.dir
}

func makeDir() (string, error) {
	removeStale()
	dir, err := os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	if err := WriteConf(dir); err != nil {
		return "", err
	}
	// A variable that is new moves the environment, beneath a module that reads it at this moment: so all are made
	// before there is a module. Giving one another value moves nothing.
	for n := 1; n <= copiesForeseen; n++ {
		if err := os.Setenv(copyVariable(n), ""); err != nil {
			return "", err
		}
	}
	return dir, os.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "softhsm2.conf"))
}

// copiesForeseen is how many copies of the library a process may have without a risk.
const copiesForeseen = 1000

// copyVariable names the variable that a copy of the library reads instead of SOFTHSM2_CONF or KRYOPTIC_CONF: it has to
// have their length.
func copyVariable(n int) string { return fmt.Sprintf("SR_CONF_%05d", n) }

// WriteConf writes softhsm2.conf and an empty tokens/ into a directory.
func WriteConf(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "tokens"), 0o700); err != nil {
		return err
	}
	conf := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
		filepath.Join(dir, "tokens"))
	return os.WriteFile(filepath.Join(dir, "softhsm2.conf"), []byte(conf), 0o600)
}

func removeStale() {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && syscall.Kill(n, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir) // another process may be removing it too
		}
	}
}

// Tokens are the tokens of one test.
type Tokens struct {
	t      testing.TB
	Module string // the library
	Conf   string // SOFTHSM2_CONF
	names  map[string]string
	dirs   map[string]string
}

// SoftHSM makes fresh SoftHSM2 tokens for a test, one for each label. Their
// labels on the module get a prefix that no other test has. With
// STRONGROOM_TEST_TOKENS=kryoptic they are Kryoptic's: `make tokens` runs the
// tests of the token layer so.
func SoftHSM(t testing.TB, labels ...string) *Tokens {
	t.Helper()
	if os.Getenv("STRONGROOM_TEST_TOKENS") == "kryoptic" {
		return Kryoptic(t, labels...)
	}
	dir := Dir(t)
	out := &Tokens{
		t: t, Module: ModulePath(t), Conf: filepath.Join(dir, "softhsm2.conf"),
		names: make(map[string]string), dirs: make(map[string]string),
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shared.mu.Lock() // so that the new directory is the new token's
	defer shared.mu.Unlock()
	for _, label := range labels {
		shared.count++
		name := fmt.Sprintf("%d-%s", shared.count, label)
		before := tokenDirs(dir)
		if _, err := pkcs11.InitToken(ctx, out.Module, name, hsm.NewSecret(SOPIN), hsm.NewSecret(PIN)); err != nil {
			t.Fatalf("make token %q: %v", name, err)
		}
		out.names[label] = name
		for d := range tokenDirs(dir) {
			if !before[d] {
				out.dirs[label] = d
			}
		}
	}
	t.Cleanup(func() {
		for _, d := range out.dirs {
			if err := os.RemoveAll(d); err != nil {
				t.Errorf("remove token: %v", err)
			}
		}
	})
	return out
}

func tokenDirs(dir string) map[string]bool {
	out := make(map[string]bool)
	found, _ := filepath.Glob(filepath.Join(dir, "tokens", "*")) // the pattern is sound
	for _, d := range found {
		out[d] = true
	}
	return out
}

// quiet is how often tokens are looked at in the background, if a test does not
// want it otherwise: never. On a slow machine the look of ten seconds would come
// in between, use up a fault that is to hit the test's own call, be counted
// among its calls, or hold a session.
const quiet = 24 * time.Hour

// Config returns what opens the token of a label.
func (s *Tokens) Config(label string) hsm.Config {
	s.t.Helper()
	name, ok := s.names[label]
	if !ok {
		s.t.Fatalf("no token %q was made", label)
	}
	return hsm.Config{Selector: hsm.Selector{Module: s.Module, Label: name}, PIN: hsm.NewSecret(PIN), HealthInterval: quiet}
}

// Open opens the token of a label until the test ends.
func (s *Tokens) Open(label string) *hsm.Token {
	s.t.Helper()
	return Open(s.t, s.Config(label))
}

// Dir returns the directory of a token's files, for tests that take it away.
func (s *Tokens) Dir(label string) string { return s.dirs[label] }

// Open opens a token until the test ends.
func Open(t testing.TB, cfg hsm.Config) *hsm.Token {
	t.Helper()
	token, err := pkcs11.Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("open %s: %v", cfg.URI(), err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Errorf("close %s: %v", cfg.URI(), err)
		}
	})
	return token
}

// Ref makes a key reference that no other key has.
func Ref(label string) hsm.KeyRef {
	shared.mu.Lock()
	shared.count++
	n := shared.count
	shared.mu.Unlock()
	id := fmt.Appendf(nil, "%08x%08x", os.Getpid(), n)
	return hsm.KeyRef{ID: id, Label: label}
}

// AES generates an AES-256 key for sealing.
func AES(t testing.TB, token *hsm.Token, label string) hsm.KeyRef {
	t.Helper()
	ref := Ref(label)
	_, err := token.Generate(context.Background(), hsm.Template{
		KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt,
	})
	if err != nil {
		t.Fatalf("generate key: %v", err)
	}
	return ref
}
