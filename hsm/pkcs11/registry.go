package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/strongroom/strongroom/hsm"
)

// registry is the process's one owner of modules. PKCS#11 has one state for a
// module and process, so this is the program's one global variable.
var registry = struct {
	sync.Mutex
	libraries map[string]*loaded
}{libraries: make(map[string]*loaded)}

type loaded struct {
	lib      *hsm.Library
	initArgs string
}

// Library returns the owner of a module and loads it if needed. A module has
// one initialise argument in a process; another one is an error.
func Library(path, initArgs string) (*hsm.Library, error) {
	if path == "" {
		return nil, &hsm.Error{Op: "load module", Class: hsm.ModuleMissing, Err: errors.New("no path given")}
	}
	name := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		name = real // one library may have several names
	}
	registry.Lock()
	defer registry.Unlock()
	if l, ok := registry.libraries[name]; ok {
		if initArgs != l.initArgs {
			return nil, &hsm.Error{Op: "load module", Class: hsm.BadInput,
				Err: fmt.Errorf("%s is in use with another initialise argument", path)}
		}
		return l.lib, nil
	}
	m, err := load(path, initArgs)
	if err != nil {
		return nil, err
	}
	l := &loaded{lib: hsm.NewLibrary(m), initArgs: initArgs}
	registry.libraries[name] = l
	return l.lib, nil
}

// Open opens the token that cfg selects; see [hsm.Library.Open]. Handles of one
// token share its login and sessions.
func Open(ctx context.Context, cfg hsm.Config) (*hsm.Token, error) {
	lib, err := Library(cfg.Module, cfg.InitArgs)
	if err != nil {
		return nil, err
	}
	return lib.Open(ctx, cfg)
}

// InitToken makes a token in the module's first blank slot, with a user PIN,
// and returns what it is called now. A token of that label that exists already
// is an error of class BadInput: nothing is ever overwritten.
func InitToken(ctx context.Context, modulePath, label string, soPIN, pin hsm.Secret) (hsm.TokenEntry, error) {
	lib, err := Library(modulePath, "")
	if err != nil {
		return hsm.TokenEntry{}, err
	}
	return lib.InitToken(ctx, label, soPIN, pin)
}

// CloseModule finalises one module if its tokens are all closed. It is
// initialised again when it is used again.
func CloseModule(ctx context.Context, path string) error {
	lib, err := Library(path, "")
	if err != nil {
		return err
	}
	return lib.Close(ctx)
}

// CloseAll finalises every module whose tokens are all closed. It is for the
// end of the process, and for tests.
func CloseAll(ctx context.Context) error {
	registry.Lock()
	defer registry.Unlock()
	var errs []error
	for _, l := range registry.libraries {
		errs = append(errs, l.lib.Close(ctx))
	}
	return errors.Join(errs...)
}
