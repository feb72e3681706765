package hsmtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// Faults is a SoftHSM2, or a Kryoptic, of a test's own behind the module that
// fails on demand (testdata/p11fault): its own copy of the library, its own directory, its own
// rules. What happens to it happens to no other test.
type Faults struct {
	Tokens
	dir      string
	confName string // the environment variable that its library reads
}

var shim struct {
	sync.Once
	path string
	err  error
}

// buildShim compiles p11fault.c, once in a test process.
func buildShim(t testing.TB) string {
	t.Helper()
	dir := Dir(t)
	shim.Do(func() {
		_, here, _, _ := runtime.Caller(0)
		source := filepath.Join(filepath.Dir(here), "..", "..", "testdata", "p11fault")
		shim.path = filepath.Join(dir, "p11fault.so")
		cmd := exec.Command("make", "-s", "-C", source, "OUT="+shim.path)
		if out, err := cmd.CombinedOutput(); err != nil {
			shim.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if shim.err != nil {
		t.Fatalf("build p11fault: %v", shim.err)
	}
	return shim.path
}

// Fault makes SoftHSM2 tokens behind a module that fails on demand.
func Fault(t testing.TB, labels ...string) *Faults {
	t.Helper()
	return faulty(t, ModulePath(t), "SOFTHSM2_CONF", func(dir string) (string, error) {
		return filepath.Join(dir, "softhsm2.conf"), WriteConf(dir)
	}, labels)
}

// FaultyKryoptic makes Kryoptic tokens behind it.
func FaultyKryoptic(t testing.TB, labels ...string) *Faults {
	t.Helper()
	return faulty(t, KryopticPath(t), "KRYOPTIC_CONF", func(dir string) (string, error) {
		return filepath.Join(dir, kryopticConf), WriteKryopticConf(dir)
	}, labels)
}

// faulty makes tokens of a library, which reads its configuration from where an
// environment variable says, behind the module that fails.
func faulty(t testing.TB, library, variable string, configure func(dir string) (conf string, err error), labels []string) *Faults {
	t.Helper()
	// Not t.TempDir: SoftHSM2 takes a # in a path, as subtests may have, for
	// the beginning of a comment.
	dir, err := os.MkdirTemp(Dir(t), "fault-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove tokens: %v", err)
		}
	})
	module := filepath.Join(dir, "p11fault.so")
	copyFile(t, buildShim(t), module)
	behind := filepath.Join(dir, filepath.Base(library))
	confName := copyLibrary(t, library, variable, behind)
	conf, err := configure(dir)
	if err != nil {
		t.Fatalf("directory of tokens: %v", err)
	}
	if err := os.Setenv(confName, conf); err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("P11FAULT_MODULE=%s\nP11FAULT_CONTROL=%s\nP11FAULT_LOG=%s\n",
		behind, filepath.Join(dir, "control"), filepath.Join(dir, "log"))
	if err := os.WriteFile(module+".conf", []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Faults{dir: dir, confName: confName, Tokens: Tokens{
		t: t, Module: module, Conf: conf, names: make(map[string]string), dirs: make(map[string]string),
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, label := range labels {
		before := tokenDirs(dir)
		if _, err := pkcs11.InitToken(ctx, module, label, hsm.NewSecret(SOPIN), hsm.NewSecret(PIN)); err != nil {
			t.Fatalf("make token %q: %v", label, err)
		}
		f.names[label] = label
		for d := range tokenDirs(dir) {
			if !before[d] {
				f.dirs[label] = d
			}
		}
	}
	t.Cleanup(func() { f.Set() })
	return f
}

// Set puts these rules in force, in place of all earlier ones; see
// testdata/p11fault/README.md for what they can say.
func (f *Faults) Set(rules ...string) {
	f.t.Helper()
	tmp := filepath.Join(f.dir, "control.new")
	err := os.WriteFile(tmp, []byte(strings.Join(rules, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(f.dir, "control"))
	}
	if err != nil {
		f.t.Fatalf("set faults: %v", err)
	}
}

// Calls counts the calls of each PKCS#11 function since the last ResetCalls.
func (f *Faults) Calls() map[string]int {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	out := make(map[string]int)
	for name := range strings.FieldsSeq(string(b)) {
		out[name]++
	}
	return out
}

// ResetCalls begins to count anew.
func (f *Faults) ResetCalls() {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, "log")); err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
}

// copyLibrary makes a copy of a library: a file of its own is a library of its
// own, with a state of its own. The copy reads the path of its configuration
// from a variable of its own too, whose name it returns, so that several can be
// initialised in one process at any time.
func copyLibrary(t testing.TB, from, name, to string) string {
	t.Helper()
	shared.mu.Lock()
	shared.copies++
	own := copyVariable(shared.copies)
	shared.mu.Unlock()
	if len(own) != len(name) {
		t.Fatalf("%d copies of the library in one process", shared.copies)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(name)) {
		t.Fatalf("%s does not read %s", from, name)
	}
	if err := os.WriteFile(to, bytes.ReplaceAll(b, []byte(name), []byte(own)), 0o700); err != nil {
		t.Fatal(err)
	}
	return own
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if closing := out.Close(); err == nil {
		err = closing
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Open opens the token of a label until the test ends; the rules are lifted
// before it is closed.
func (f *Faults) Open(label string) *hsm.Token {
	f.t.Helper()
	return f.OpenConfig(f.Config(label))
}

// OpenConfig is Open with settings of the caller's.
func (f *Faults) OpenConfig(cfg hsm.Config) *hsm.Token {
	f.t.Helper()
	token := Open(f.t, cfg)
	f.t.Cleanup(func() { f.Set() })
	return token
}

// MakeOutside makes a token as another process would: the module that this
// process has initialised does not know of it.
func (f *Faults) MakeOutside(label string) {
	f.t.Helper()
	if err := f.util(label); err != nil {
		f.t.Fatal(err)
	}
	f.names[label] = label
}

// Twin makes a second token of a label that exists, with another serial number.
func (f *Faults) Twin(label string) error {
	f.t.Helper()
	if err := f.util(label); err != nil {
		return err
	}
	return pkcs11.CloseModule(context.Background(), f.Module) // so that it is seen
}

func (f *Faults) util(label string) error {
	cmd := exec.Command("softhsm2-util", "--module", filepath.Join(f.dir, filepath.Base(ModulePath(f.t))), "--init-token", "--free",
		"--label", label, "--pin", PIN, "--so-pin", SOPIN)
	cmd.Env = append(os.Environ(), f.confName+"="+f.Conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w\n%s", err, out)
	}
	return nil
}

// ObjectFiles lists the files of a token's objects.
func (f *Faults) ObjectFiles(label string) []string {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dirs[label], "*.object"))
	if err != nil {
		f.t.Fatal(err)
	}
	return files
}
