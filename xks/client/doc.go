// Package client calls an external key store proxy, ours or anybody else's: the role that AWS KMS has towards it.
//
// Every call is signed, carries the deadline of the protocol (250 ms), and gives either a checked answer or an
// [*Error] that says in what way the proxy failed: refused with a name of the protocol, not reachable, no TLS, no
// answer in time, or an answer that makes no sense. Connections are kept and bounded. A timeout is tried once more, as
// KMS does, but only while that adds no more than a tenth to the load; a proxy that cannot be reached at all is left
// alone for a while and tried by one call at a time until it answers again.
//
// The package knows the protocol and no key store: what a failure means to a caller of KMS is decided elsewhere.
package client
