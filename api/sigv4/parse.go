package sigv4

import (
	"net/http"
	"strings"
	"time"
)

// The two layouts of a timestamp: the one that is signed, and its date part.
const (
	timestampLayout = "20060102T150405Z"
	dateLayout      = "20060102"
)

// Parse reads the Authorization and date headers and checks all that can be checked without the body or the key:
// form, credential scope, signed-header list and clock skew. Errors are *Error.
func (v *Verifier) Parse(r *http.Request) (Scope, error) {
	var s Scope
	values := r.Header[HeaderAuthorization]
	switch {
	case len(values) == 0 || values[0] == "":
		return s, &Error{Missing, "Missing Authentication Token"}
	case len(values) > 1:
		return s, &Error{Incomplete, "Authorization header must appear once."}
	case len(values[0]) > MaxAuthorization:
		return s, &Error{TooLarge, "Authorization header is too long."}
	}
	credential, err := parseAuthorization(values[0], r.Header, &s)
	if err != nil {
		return s, err
	}
	if err := parseTimestamp(r.Header, &s); err != nil {
		return s, err
	}
	terminator, err := parseCredential(credential, &s)
	if err != nil {
		return s, err
	}
	if err := v.checkScope(&s, terminator); err != nil {
		return s, err
	}
	if err := v.checkSignedHeaders(r, s.SignedHeaders); err != nil {
		return s, err
	}
	return s, v.checkSkew(&s)
}

// parseAuthorization fills the signature and the signed headers and returns the credential. Like AWS it names
// every missing part at once.
func parseAuthorization(header string, h http.Header, s *Scope) (credential string, err error) {
	word, rest, found := strings.Cut(header, " ")
	if word != Algorithm {
		return "", &Error{Incomplete, "Unsupported AWS 'algorithm': " + quote(word) + "."}
	}
	for found && rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		part = strings.TrimSpace(part)
		name, value, equals := strings.Cut(part, "=")
		if !equals {
			return "", &Error{Incomplete, quote(part) + " not a valid key=value pair (missing equal-sign) in Authorization header."}
		}
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &s.SignedHeaders
		case "Signature":
			field = &s.Signature
		default:
			return "", &Error{Incomplete, "Authorization header has an unknown parameter " + quote(name) + "."}
		}
		if *field != "" {
			return "", &Error{Incomplete, "Authorization header has more than one '" + name + "' parameter."}
		}
		*field = value
	}
	if credential != "" && s.SignedHeaders != "" && s.Signature != "" {
		return credential, nil
	}
	return "", incomplete(credential, s, h)
}

func incomplete(credential string, s *Scope, h http.Header) *Error {
	var missing []string
	for _, part := range []struct{ name, value string }{
		{"Credential", credential}, {"Signature", s.Signature}, {"SignedHeaders", s.SignedHeaders},
	} {
		if part.value == "" {
			missing = append(missing, "Authorization header requires '"+part.name+"' parameter.")
		}
	}
	if h.Get(HeaderDate) == "" && h.Get("Date") == "" {
		missing = append(missing, dateRequired)
	}
	return &Error{Incomplete, strings.Join(missing, " ")}
}

const dateRequired = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."

// parseTimestamp takes X-Amz-Date, or else Date in either of the forms that clients send.
func parseTimestamp(h http.Header, s *Scope) error {
	name, layouts := HeaderDate, []string{timestampLayout}
	if len(h[HeaderDate]) == 0 {
		name, layouts = "Date", []string{timestampLayout, http.TimeFormat, time.RFC1123Z}
	}
	values := h[name]
	switch {
	case len(values) == 0:
		return &Error{BadDate, dateRequired}
	case len(values) > 1:
		return &Error{BadDate, "'" + name + "' header must appear once."}
	}
	value := values[0]
	for _, layout := range layouts {
		// time.Parse takes a fraction of a second that the layout does not have.
		if layout == timestampLayout && len(value) != len(timestampLayout) {
			continue
		}
		t, err := time.Parse(layout, value)
		if err != nil {
			continue
		}
		s.Time, s.Timestamp = t.UTC(), value
		if layout != timestampLayout {
			s.Timestamp = s.Time.Format(timestampLayout)
		}
		return nil
	}
	return &Error{BadDate, "Date must be in ISO-8601 'basic format'. Got " + quote(value) + ". See http://en.wikipedia.org/wiki/ISO_8601"}
}

func parseCredential(credential string, s *Scope) (terminator string, err error) {
	bad := func() (string, error) {
		return "", &Error{Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got " + quote(credential)}
	}
	rest := credential
	var found bool
	for _, field := range []*string{&s.AccessKeyID, &s.Date, &s.Region, &s.Service} {
		if *field, rest, found = strings.Cut(rest, "/"); !found {
			return bad()
		}
	}
	if strings.Contains(rest, "/") || s.AccessKeyID == "" {
		return bad()
	}
	return rest, nil
}

// checkScope collects everything that is wrong with the scope, as AWS does, under the kind of the first fault.
func (v *Verifier) checkScope(s *Scope, terminator string) error {
	var kind Kind
	var texts []string
	fault := func(k Kind, text string) {
		if kind == 0 {
			kind = k
		}
		texts = append(texts, text)
	}
	if !v.acceptsRegion(s.Region) {
		fault(WrongRegion, "Credential should be scoped to a valid Region, not "+quote(s.Region)+".")
	}
	if s.Service != v.Service {
		fault(WrongService, "Credential should be scoped to correct service: '"+v.Service+"'.")
	}
	if terminator != Terminator {
		fault(BadScope, "Credential should be scoped with a valid terminator: '"+Terminator+"', not "+quote(terminator)+".")
	}
	if s.Date != s.Timestamp[:len(dateLayout)] {
		fault(BadScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "+
			quote(s.Date)+" != '"+s.Timestamp[:len(dateLayout)]+"', from '"+s.Timestamp+"'.")
	}
	if kind == 0 {
		return nil
	}
	return &Error{kind, strings.Join(texts, " ")}
}

func (v *Verifier) acceptsRegion(region string) bool {
	if len(v.Regions) == 0 {
		return region != ""
	}
	for _, accepted := range v.Regions {
		if region == accepted {
			return true
		}
	}
	return false
}

// checkSignedHeaders wants host and the date header signed, and every X-Amz-* header that was sent, so that nothing
// that selects an operation can be changed under a good signature. The body hash is exempt because Verify compares
// it with the body, and the security token because AWS lets it be added after signing.
func (v *Verifier) checkSignedHeaders(r *http.Request, list string) error {
	if !sortedNames(list) {
		return &Error{Unsigned, "'SignedHeaders' must be lower case, in order and without duplicates."}
	}
	if !listed(list, "host") && (r.ProtoMajor < 2 || !listed(list, ":authority")) {
		return &Error{Unsigned, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	dateHeader := HeaderDate
	if len(r.Header[HeaderDate]) == 0 {
		dateHeader = "Date"
	}
	if !listed(list, strings.ToLower(dateHeader)) {
		return &Error{Unsigned, "'" + dateHeader + "' must be a 'SignedHeader' in the AWS Authorization."}
	}
	if v.AllowUnsignedAmz {
		return nil
	}
	for name := range r.Header {
		if len(name) < 6 || name[0] != 'X' || !strings.HasPrefix(name, "X-Amz-") || name == HeaderContentSHA256 || name == HeaderSecurityToken {
			continue
		}
		if !listed(list, strings.ToLower(name)) {
			return &Error{Unsigned, quote(name) + " must be a 'SignedHeader' in the AWS Authorization."}
		}
	}
	return nil
}

// sortedNames reports whether list is non-empty lower-case header names in strictly increasing order.
func sortedNames(list string) bool {
	previous := ""
	for list != "" {
		name, rest, more := strings.Cut(list, ";")
		if name <= previous || (more && rest == "") {
			return false
		}
		for i := 0; i < len(name); i++ {
			if c := name[i]; c >= 'A' && c <= 'Z' || c <= ' ' || c >= 0x7f {
				return false
			}
		}
		previous, list = name, rest
	}
	return previous != ""
}

// listed reports whether name is an element of the ';'-joined list.
func listed(list, name string) bool {
	for list != "" {
		var element string
		element, list, _ = strings.Cut(list, ";")
		if element == name {
			return true
		}
	}
	return false
}

func (v *Verifier) checkSkew(s *Scope) error {
	skew := v.MaxSkew
	if skew == 0 {
		skew = DefaultMaxSkew
	}
	now := v.Now().UTC().Truncate(time.Second)
	minutes := strings.TrimSuffix(skew.Truncate(time.Minute).String(), "m0s")
	switch age := now.Sub(s.Time); {
	case age > skew:
		return &Error{Expired, "Signature expired: " + s.Timestamp + " is now earlier than " +
			now.Add(-skew).Format(timestampLayout) + " (" + now.Format(timestampLayout) + " - " + minutes + " min.)"}
	case age < -skew:
		return &Error{NotYetCurrent, "Signature not yet current: " + s.Timestamp + " is still later than " +
			now.Add(skew).Format(timestampLayout) + " (" + now.Format(timestampLayout) + " + " + minutes + " min.)"}
	}
	return nil
}

// quote puts a short piece of the request into a message: cut, and without characters that could forge a log line.
func quote(s string) string {
	const most = 64
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if cut {
		return "'" + clean + "...'"
	}
	return "'" + clean + "'"
}
