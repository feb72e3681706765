package sigv4

import (
	"net/http"
	"net/textproto"
	"sort"
	"strconv"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// appendCanonicalRequest appends the canonical request of r for a signed-header list and a hexadecimal body hash.
// It reports false when a listed header is not in the request.
func appendCanonicalRequest(b []byte, r *http.Request, signedHeaders, bodyHash string) ([]byte, bool) {
	path, query := target(r)
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	b = append(b, method...)
	b = append(b, '\n')
	b = appendPath(b, path)
	b = append(b, '\n')
	b = appendQuery(b, query)
	b = append(b, '\n')
	for list := signedHeaders; list != ""; {
		var name string
		name, list, _ = strings.Cut(list, ";")
		var ok bool
		if b, ok = appendHeader(b, r, name); !ok {
			return b, false
		}
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	return append(b, bodyHash...), true
}

// target splits the request target as it stands on the wire. Only a request that was made here, to be sent, has
// none yet; and the absolute form that proxies use carries the host as well.
func target(r *http.Request) (path, query string) {
	if !strings.HasPrefix(r.RequestURI, "/") {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	path, query, _ = strings.Cut(r.RequestURI, "?")
	return path, query
}

// appendPath appends the canonical URI of every service but S3: dot segments and doubled slashes resolved, then
// each segment encoded as it was sent, so that an escape on the wire is escaped twice.
func appendPath(b []byte, path string) []byte {
	if path == "" || path == "/" {
		return append(b, '/')
	}
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return appendEncoded(b, path, true)
	}
	var kept []string
	for _, segment := range strings.Split(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
		}
	}
	for _, segment := range kept {
		b = append(b, '/')
		b = appendEncoded(b, segment, false)
	}
	if len(kept) == 0 || strings.HasSuffix(path, "/") {
		b = append(b, '/')
	}
	return b
}

// appendQuery appends the canonical query string: names and values decoded, encoded again and sorted, by name and
// then by value.
func appendQuery(b []byte, query string) []byte {
	if query == "" {
		return b
	}
	type pair struct{ name, value string }
	var pairs []pair
	for _, part := range strings.Split(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{recode(name), recode(value)})
	}
	sort.Slice(pairs, func(i, j int) bool {
		if pairs[i].name != pairs[j].name {
			return pairs[i].name < pairs[j].name
		}
		return pairs[i].value < pairs[j].value
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// recode decodes percent escapes and encodes the result. '+' stands for itself; a broken escape is taken literally.
func recode(s string) string {
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				decoded = append(decoded, byte(c))
				i += 2
				continue
			}
		}
		decoded = append(decoded, s[i])
	}
	return string(appendEncoded(make([]byte, 0, len(decoded)), string(decoded), false))
}

// appendEncoded percent-encodes all but RFC 3986's unreserved characters and, if asked, the slash.
func appendEncoded(b []byte, s string, keepSlash bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '-' || c == '.' || c == '_' || c == '~' || c == '/' && keepSlash {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// appendHeader appends "name:value\n" with every value of the header, in the order sent, joined by commas.
func appendHeader(b []byte, r *http.Request, name string) ([]byte, bool) {
	b = append(b, name...)
	b = append(b, ':')
	switch name {
	case "host", ":authority":
		// net/http keeps Host (HTTP/2: ":authority") out of the header map.
		if name != "host" && r.ProtoMajor < 2 {
			return b, false
		}
		host := r.Host
		if host == "" && r.URL != nil {
			host = r.URL.Host
		}
		if host == "" {
			return b, false
		}
		b = appendTrimmed(b, host)
		return append(b, '\n'), true
	case "transfer-encoding":
		if len(r.TransferEncoding) == 0 {
			return b, false
		}
		b = append(b, strings.Join(r.TransferEncoding, ",")...)
		return append(b, '\n'), true
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) == 0 {
		if name != "content-length" || r.ContentLength < 0 {
			return b, false
		}
		// A client's request has its length in a field of its own.
		b = strconv.AppendInt(b, r.ContentLength, 10)
		return append(b, '\n'), true
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return append(b, '\n'), true
}

// appendTrimmed appends s without the blanks around it, and with one space for every run of them inside.
func appendTrimmed(b []byte, s string) []byte {
	start, pending := len(b), false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			pending = true
		default:
			if pending && len(b) > start {
				b = append(b, ' ')
			}
			pending = false
			b = append(b, c)
		}
	}
	return b
}
