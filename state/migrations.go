package state

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Migration is one step of a schema.
type Migration struct {
	Number int
	Name   string // file name
	SQL    string
}

// Migrations reads the files "NNNN_name.sql" of a directory in order. They are numbered from 1 without a gap.
func Migrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var out []Migration
	for i, e := range entries {
		digits, _, ok := strings.Cut(e.Name(), "_")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil || len(digits) != 4 || path.Ext(e.Name()) != ".sql" {
			return nil, fmt.Errorf("migration %s: its name is not NNNN_name.sql", e.Name())
		}
		if number != i+1 {
			return nil, fmt.Errorf("migration %s: number %d is expected here", e.Name(), i+1)
		}
		text, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		out = append(out, Migration{Number: number, Name: e.Name(), SQL: string(text)})
	}
	return out, nil
}
