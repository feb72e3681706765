// Package custom is the service for custom key stores: the six operations of the AWS KMS API on them (Service), and the
// owner of their connections (Manager).
//
// It knows stores, clusters as the configuration names them, and backends as package backend describes them; it knows
// nothing of tokens, PKCS#11 or proxies: an Opener makes backends from store rows. The rules about connection states are
// tables of package keystore.
package custom
