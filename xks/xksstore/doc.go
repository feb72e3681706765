// Package xksstore makes external key stores of XKS proxies: what a proxy's answer, or its silence, means to a caller
// of KMS, as data ([Fault]), and which external keys can back a KMS key ([CheckKey]).
//
// The texts are AWS's own and clients match them to the letter. What the proxy says in its errorMessage is for the log
// and never reaches a caller.
package xksstore
