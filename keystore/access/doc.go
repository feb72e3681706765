// Package access decides who may do what: key policies, principals' policies and grants in AWS's policy language, brought
// to one decision, and the Gate that asks for it before the key state table. A policy is parsed once; a decision parses
// nothing and does no I/O but asking the Directory for grants. What the package does not understand it denies.
package access
