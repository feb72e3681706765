// Package api is the front door: the AWS KMS API as AWS JSON 1.1 over POST /, signed with Signature Version 4.
//
// One request goes through one pipeline (server.go): request id, operation by X-Amz-Target, signature header, bounded
// body, signature, caller, audit log in order, decoding and constraints (package shape), the operation's handler, audit
// record, answer. What differs between operations is a row in operations.go and a few lines in ops_*.go. Errors carry a
// kind of package keystore; errors.go is the one table from kinds to exceptions on the wire.
//
// The package knows nothing of keys' rules, tokens or databases: services do the work.
package api
