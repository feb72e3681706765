// Package pkcs11 loads real PKCS#11 libraries for package hsm. It is the only
// package with C in it. Its [Registry] is the only owner of the modules of this
// process: it alone loads, initialises, logs in and finalises, once for each
// module.
//
// github.com/miekg/pkcs11 makes the calls, except for the few that are made
// often or that it cannot make: those are single crossings into C on the
// function list of the same library (crossing.c).
//
// Built without cgo, every use of the package fails with class ModuleMissing
// and says why.
package pkcs11
