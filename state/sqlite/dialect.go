package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/strongroom/strongroom/state"
)

type dialect struct{}

func (dialect) Rebind(query string) string { return query }

// Begin takes the write lock at once: a transaction that read first and found another writer before it could not go on.
func (dialect) Begin(write bool) string {
	if write {
		return "BEGIN IMMEDIATE"
	}
	return "BEGIN"
}

// Class reads the extended result code.
func (dialect) Class(err error) state.Class {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return state.ClassOther
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return state.ClassUnique
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return state.ClassForeignKey
	default:
		return state.ClassOther
	}
}
