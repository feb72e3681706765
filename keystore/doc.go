// Package keystore is the vocabulary of Strongroom's domain: keys, aliases, stores, backing material, callers, and the
// rules between them as tables (key states, origins, store connections, key specs). It knows nothing of HTTP, SQL,
// PKCS#11 or files: it imports the standard library only, and every other package speaks in its terms.
package keystore
