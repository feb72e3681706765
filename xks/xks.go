// Package xks holds the AWS KMS External Key Store proxy API, version 1, as types: operations, messages, error names
// with their HTTP status, URI rules, limits, and the two byte strings that the protocol is strict about: the data
// that a token authenticates and the ciphertext data integrity value.
//
// Both sides use it: package proxy answers the protocol, package client speaks it. It imports the standard library
// only and knows neither HTTP servers nor tokens. Section numbers in comments are those of the specification, version
// 1.0.3 of 2024-05-15, unless they name another source.
package xks

// Service is the service name in the SigV4 credential scope (Appendix A).
const Service = "kms-xks-proxy"

// BasePath is what every XksProxyUriPath ends in.
const BasePath = "/kms/xks/v1"

// Algorithm names of the protocol, and the only key spec a KMS key can be made of.
const (
	AlgorithmAESGCM = "AES_GCM"
	CDIVSHA256      = "SHA_256"
	KeySpecAES256   = "AES_256"
)

// Limits of the protocol, in bytes before base64.
const (
	MinPlaintextSupport = 4300  // a proxy must handle plaintext at least this long
	MinAADSupport       = 8192  // and additional authenticated data at least this long
	MaxAAD              = 65535 // the two length bytes of the framing allow no more
	MaxMetadata         = 20    // ciphertextMetadata
	IVSize              = 12    // the usual initialization vector; 16 is allowed too
	LongIVSize          = 16
	TagSize             = 16
	CDIVSize            = 32
	MaxErrorMessage     = 511 // characters of errorMessage, printable ASCII
	MaxInstances        = 10  // entries of ekmFleetDetails
	MaxKeyUsages        = 10
	MaxARN              = 2048
)

// Operation is an operation of the proxy API.
type Operation string

// The four operations. There are no others.
const (
	OpHealth   Operation = "GetHealthStatus"
	OpMetadata Operation = "GetKeyMetadata"
	OpEncrypt  Operation = "Encrypt"
	OpDecrypt  Operation = "Decrypt"
)

// Operations lists all four.
func Operations() []Operation { return []Operation{OpHealth, OpMetadata, OpEncrypt, OpDecrypt} }

// segment is the last part of the operation's URI path.
func (op Operation) segment() string {
	switch op {
	case OpHealth:
		return "health"
	case OpMetadata:
		return "metadata"
	case OpEncrypt:
		return "encrypt"
	case OpDecrypt:
		return "decrypt"
	}
	return ""
}

// KeyStatus is a keyStatus of GetKeyMetadata.
type KeyStatus string

// The statuses of an external key.
const (
	KeyEnabled  KeyStatus = "ENABLED"
	KeyDisabled KeyStatus = "DISABLED"
)

// Key usages of GetKeyMetadata that decide anything; others may be reported and mean nothing here.
const (
	UsageEncrypt = "ENCRYPT"
	UsageDecrypt = "DECRYPT"
)

// HealthStatus is a healthStatus of GetHealthStatus.
type HealthStatus string

// What a key manager instance can be.
const (
	Active      HealthStatus = "ACTIVE"      // healthy
	Degraded    HealthStatus = "DEGRADED"    // unhealthy, but serving
	Unavailable HealthStatus = "UNAVAILABLE" // not serving
)

// KMS operations in requestMetadata that belong to no KMS key.
const (
	KMSHealthCheck       = "KmsHealthCheck"
	KMSCreateStore       = "CreateCustomKeyStore"
	KMSConnectStore      = "ConnectCustomKeyStore"
	KMSUpdateStore       = "UpdateCustomKeyStore"
	KMSCreateKey         = "CreateKey"
	PrincipalAWSInternal = "AWS Internal" // awsPrincipalArn where KMS acts for itself
)
