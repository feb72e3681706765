// Package xksstore makes external key stores of XKS proxies. [Proxies] checks and opens them and asks for their health; a
// [Backend] seals with the KMS key's own material first, on the default token of the Region, and has the proxy encrypt
// the result with the external key, so that neither side alone can open a ciphertext. What a proxy's answer, or its
// silence, means to a caller of KMS is data ([Fault]), and so is which external keys can back a KMS key ([CheckKey]).
//
// The texts are AWS's own and clients match them to the letter. What the proxy says in its errorMessage is for the log
// and never reaches a caller.
package xksstore
