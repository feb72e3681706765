// Package proxy answers the AWS KMS External Key Store proxy API: the server side of an XKS deployment.
//
// A [Proxy] serves any number of realms. A [Realm] is one path prefix ("/dev/kms/xks/v1") with credentials, allowed
// keys, quota, secondary policy and [Keys] of its own; nothing passes from one to another. The set of realms is an
// immutable value that [Proxy.Update] swaps whole, while calls in flight finish on the old one: that is how a second
// credential is added and the first removed without an interruption.
//
// The package knows the protocol and nothing of tokens: it asks [Keys] to encrypt and decrypt, and a [Prober] whether
// the thing behind them is well. Package tokenkeys is both, over a PKCS#11 token. Order of evaluation: path, method,
// body size, signature, quota, form, allowed keys, secondary policy, place in the queue, key, usage, token.
//
// Composition, with keys on a token (errors left out):
//
//	keys, _ := tokenkeys.Open(ctx, tokenkeys.Config{Token: token, Store: store})
//	defer keys.Close()
//	cred, _ := proxy.NewCredential(rand.Reader)
//	p := proxy.New(proxy.Config{Recorder: audit, Logger: log})
//	_ = p.Update([]proxy.Realm{{
//		Name: "dev", URIPath: "/dev" + xks.BasePath, Keys: keys,
//		Credentials: []proxy.Credential{cred},
//	}})
//	go p.Run(ctx) // deep health checks, until ctx ends
//	server, _ := proxy.NewServer(p, proxy.TLSOptions{Certificates: certs}, log)
//	_ = server.ServeTLS(listener, "", "")
//
// The Proxy also answers GET /ping (alive) and GET /ready (some token can serve, and Drain was not called) for load
// balancers, without authentication and without touching a token. LoadBalancer serves these two alone, for a port of
// their own.
package proxy
