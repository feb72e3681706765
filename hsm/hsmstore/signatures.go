package hsmstore

import "github.com/strongroom/strongroom/keystore/backend"

var _ backend.SignatureLimiter = (*Backend)(nil)

// Signs tells whether tokens have a mechanism for the algorithm.
func (b *Backend) Signs(algorithm string) bool {
	_, ok := signTable[algorithm]
	return ok
}
