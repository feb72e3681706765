// Package secp256k1 has what the appliance needs of the curve secp256k1 (SEC 2, section 2.4.1), which Go's library does not
// have: making key pairs that leave the appliance encrypted, encoding and reading public keys, and verifying signatures.
// Keys of the curve that stay on a token sign there. What touches a private key takes the same time and the same memory
// accesses for every key; verification works on public values only.
package secp256k1
