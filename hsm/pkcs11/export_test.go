package pkcs11

// Load is load, for benchmarks that go below the token layer.
var Load = load
