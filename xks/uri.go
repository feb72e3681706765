package xks

import (
	"errors"
	"strings"
)

// Limits of the URI and its parts, in characters (section "URI path", and the KMS API's XksProxyUri types).
const (
	MaxURI         = 256
	MinURIEndpoint = 10
	MaxURIEndpoint = 128
	MinURIPath     = 10
	MaxURIPath     = 128
	MaxKeyID       = 128
)

// longestTail is what the longest operation puts around a key id: "/keys/" and "/metadata".
const longestTail = len("/keys/") + len("/metadata")

// What is wrong with a piece of a URI.
var (
	ErrURIPath  = errors.New("URI path must be [/prefix]" + BasePath + " of at most 128 letters, digits, '/', '-' and '_'")
	ErrKeyID    = errors.New("external key id must be 1 to 128 letters, digits, '-', '_' and '.', and not '.' or '..'")
	ErrURILong  = errors.New("proxy URI with the key id must not exceed 256 characters")
	ErrEndpoint = errors.New("URI endpoint must be https:// and a host name, of 10 to 128 characters")
)

// CheckURIPath checks an XksProxyUriPath: the path prefix, if any, and BasePath.
func CheckURIPath(path string) error {
	if len(path) < MinURIPath || len(path) > MaxURIPath || !strings.HasSuffix(path, BasePath) || strings.Contains(path, "//") {
		return ErrURIPath
	}
	for i := 0; i < len(path); i++ {
		if c := path[i]; !alphanumeric(c) && c != '/' && c != '-' && c != '_' {
			return ErrURIPath
		}
	}
	if path[0] != '/' {
		return ErrURIPath
	}
	return nil
}

// CheckKeyID checks an externalKeyId. The two dot segments have legal characters, but clients and routers rewrite
// them, so they are refused.
func CheckKeyID(id string) error {
	if id == "" || len(id) > MaxKeyID || id == "." || id == ".." {
		return ErrKeyID
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return ErrKeyID
		}
	}
	return nil
}

// CheckEndpoint checks an XksProxyUriEndpoint: "https://" and a host name without a port. With allowPort a port may
// follow, which AWS forbids: a laboratory setting.
func CheckEndpoint(endpoint string, allowPort bool) error {
	host, found := strings.CutPrefix(endpoint, "https://")
	if !found || len(endpoint) < MinURIEndpoint || len(endpoint) > MaxURIEndpoint {
		return ErrEndpoint
	}
	if name, port, has := strings.Cut(host, ":"); has && allowPort {
		if port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
			return ErrEndpoint
		}
		host = name
	}
	if host == "" {
		return ErrEndpoint
	}
	for i := 0; i < len(host); i++ {
		if c := host[i]; !alphanumeric(c) && c != '-' && c != '.' {
			return ErrEndpoint
		}
	}
	return nil
}

// CheckURILength checks that the longest URI for this key stays within the limit of the whole.
func CheckURILength(endpoint, path, keyID string) error {
	if len(endpoint)+len(path)+longestTail+len(keyID) > MaxURI {
		return ErrURILong
	}
	return nil
}

// OperationPath is the path of an operation below an XksProxyUriPath. keyID is ignored for OpHealth.
func OperationPath(uriPath string, op Operation, keyID string) string {
	if op == OpHealth {
		return uriPath + "/health"
	}
	return uriPath + "/keys/" + keyID + "/" + op.segment()
}

// ParsePath takes an escaped request path apart. It reports false for anything that is not the path of one of the
// four operations. What it gives back are pieces of path.
func ParsePath(path string) (uriPath string, op Operation, keyID string, ok bool) {
	at := strings.LastIndex(path, BasePath+"/")
	if at < 0 || len(path) > MaxURI {
		return "", "", "", false
	}
	uriPath, tail := path[:at+len(BasePath)], path[at+len(BasePath)+1:]
	if CheckURIPath(uriPath) != nil {
		return "", "", "", false
	}
	if tail == "health" {
		return uriPath, OpHealth, "", true
	}
	tail, found := strings.CutPrefix(tail, "keys/")
	if !found {
		return "", "", "", false
	}
	keyID, last, found := strings.Cut(tail, "/")
	if !found || CheckKeyID(keyID) != nil {
		return "", "", "", false
	}
	for _, op := range withKey {
		if last == op.segment() {
			return uriPath, op, keyID, true
		}
	}
	return "", "", "", false
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Lengths of a proxy credential (section "Authentication").
const (
	MinAccessKeyID = 20
	MaxAccessKeyID = 30
	MinSecret      = 43
	MaxSecret      = 64
)

// What is wrong with a credential.
var (
	ErrAccessKeyID = errors.New("access key id must be 20 to 30 characters of A-Z and 2-7")
	ErrSecret      = errors.New("secret access key must be 43 to 64 letters, digits, '/', '+' and '='")
)

// CheckAccessKeyID checks the form of an access key id that is being created or imported. One that comes in with a
// request is not checked: of the wrong form, it is just unknown.
func CheckAccessKeyID(id string) error {
	if len(id) < MinAccessKeyID || len(id) > MaxAccessKeyID {
		return ErrAccessKeyID
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return ErrAccessKeyID
		}
	}
	return nil
}

// CheckSecret checks the form of a secret access key. The error never holds it.
func CheckSecret(secret []byte) error {
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return ErrSecret
	}
	for _, c := range secret {
		if !alphanumeric(c) && c != '/' && c != '+' && c != '=' {
			return ErrSecret
		}
	}
	return nil
}
