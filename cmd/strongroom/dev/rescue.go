package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// rescueTokens undoes what a kill in the middle of C_Login does to SoftHSM2: it writes the flags of the token into
// token.object in place, and a process that is killed while it does leaves the file empty or short. Then the token and all
// its keys are gone for SoftHSM2, although the keys are there. So each start keeps a copy of the file, and puts it back where
// the file is shorter than its copy; all else in it stays the same for as long as the PINs do. It must run before the module
// is loaded.
func rescueTokens(tokens, copies string) error {
	if err := os.MkdirAll(copies, 0o700); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(tokens, "*", "token.object"))
	if err != nil {
		return err
	}
	for _, file := range found {
		if err := rescueToken(file, filepath.Join(copies, filepath.Base(filepath.Dir(file))+".object")); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func rescueToken(file, kept string) error {
	now, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(kept)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(now) == 0:
		return nil // it was never seen whole: a token that was being made
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case len(now) < len(before):
		return writeFile(file, before)
	case string(now) == string(before):
		return nil
	}
	return writeFile(kept, now)
}
