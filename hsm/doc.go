// Package hsm uses keys on PKCS#11 tokens: it opens tokens, keeps sessions
// and handles, tells one failure from another, and comes back by itself when a
// token does.
//
// The package is pure Go and knows no C: it speaks to a library through
// [Module] and [Session], which package hsm/pkcs11 implements. It knows nothing
// of KMS keys, key states or wire formats either; callers bring a [KeyRef] and
// get bytes.
//
// How the parts hang together:
//
//   - A [Library] owns one loaded module in the process: its initialisation,
//     its epoch (a count of initialisations) and the lock that keeps management
//     calls apart where a vendor needs that.
//   - A [Token] is one opener's handle on one physical token. All handles of
//     the same token share one core: login, sessions, handle cache, health.
//   - A [Pool] lends sessions. Calls on them run under a deadline; one that
//     overruns it costs its caller an error and its session a quarantine.
//   - A [Profile] says what a vendor's module does differently, as data.
package hsm
