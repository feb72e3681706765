package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Var is a variable for the users of a dev appliance.
type Var struct{ Name, Value string }

// WriteEnv writes the variables as lines that a shell can source, whole or not at all, for the owner only.
func WriteEnv(path string, vars []Var) error {
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s='%s'\n", v.Name, strings.ReplaceAll(v.Value, "'", `'\''`))
	}
	if err := writeFile(path, []byte(b.String())); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// RemoveEnv takes the file away; that it is not there is no error.
func RemoveEnv(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
