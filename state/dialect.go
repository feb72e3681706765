package state

import "context"

// Class is what a database's error means to the ports.
type Class int

// The classes.
const (
	ClassOther      Class = iota
	ClassUnique           // a UNIQUE or PRIMARY KEY rule refused the row
	ClassForeignKey       // the row names a row that does not exist, or is named by one that does
)

// Dialect is what differs between databases in running the queries of this package. Queries are written with "?" for
// each parameter. Text compares byte by byte; a transaction goes on after a statement that a rule refused.
type Dialect interface {
	// Rebind rewrites the placeholders of a query.
	Rebind(query string) string
	// Begin is the statement that starts a transaction: one that writes takes the right to write at once, one that reads
	// sees one snapshot and can change nothing.
	Begin(write bool) string
	// Class tells what an error of the driver means.
	Class(err error) Class
}

// Version says what a database is.
type Version struct {
	Engine string // product and version of the database
	Schema int    // number of the last migration applied
}

// Upkeep is what is done to a database as a whole.
type Upkeep interface {
	Version(ctx context.Context) (Version, error)
	// Check reads the whole database and fails with what is damaged in it.
	Check(ctx context.Context) error
	// Backup writes a consistent copy to a new file, mode 0600, on disk when it returns; it replaces no file.
	Backup(ctx context.Context, path string) error
	Close() error
}
