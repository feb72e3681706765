package backend

// SignatureLimiter is a Signer that says which signatures it can make. One without it makes those of every algorithm of the keys
// that it can make.
type SignatureLimiter interface {
	// Signs tells whether Sign can make signatures of the algorithm.
	Signs(algorithm string) bool
}
