// Package envelope writes and reads the ciphertext blobs of symmetric keys and the authenticated data that binds them:
// pure functions over bytes. It knows no keys, no tokens and no services.
package envelope
