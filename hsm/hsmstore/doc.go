// Package hsmstore makes key stores of PKCS#11 tokens: the default store of a Region, and the AWS_CLOUDHSM stores, whose
// cluster is a token here. It is the one place where the failures of tokens (hsm.Class) become faults of the domain, and it
// holds the vault, which seals the appliance's secrets with a key on the default token.
//
// It knows nothing of KMS keys' states, of HTTP, and of how a module is loaded.
package hsmstore
