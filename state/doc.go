// Package state keeps the appliance's state in a database: the keystore ports over database/sql, and the directory that
// answers the cryptographic operations from memory. Its queries are the same for every database; what differs (driver,
// placeholders, error codes, migrations) is a Dialect, which a package of its own supplies. It knows no rule of KMS: what
// may change into what is decided by its callers.
package state
