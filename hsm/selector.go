package hsm

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Selector says which token is meant: by label, by serial number, by slot, or
// by any of them together; all that are given must fit. Several tokens that
// fit are an error, never a choice.
type Selector struct {
	Module   string // path of the PKCS#11 library
	InitArgs string // CK_C_INITIALIZE_ARGS.pReserved, for modules such as NSS that need one
	Label    string
	Serial   string
	Slot     *uint
}

// maxURI bounds a PKCS#11 URI; real ones have some hundred bytes.
const maxURI = 4096

// ParseURI reads a PKCS#11 URI (RFC 7512) as a Selector. It takes the path
// attributes token, serial and slot-id and the query attribute module-path;
// manufacturer, model, library attributes, object, id and type may stand in it
// and are ignored. A URI that carries a PIN (pin-value) is refused, for
// configurations are no place for one; pin-source is ignored here.
func ParseURI(s string) (Selector, error) {
	var sel Selector
	if len(s) > maxURI {
		return sel, fmt.Errorf("PKCS#11 URI longer than %d bytes", maxURI)
	}
	rest, ok := strings.CutPrefix(s, "pkcs11:")
	if !ok {
		return sel, fmt.Errorf("PKCS#11 URI must begin with %q", "pkcs11:")
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := eachAttribute(path, ";", sel.setPath); err != nil {
		return Selector{}, err
	}
	if err := eachAttribute(query, "&", sel.setQuery); err != nil {
		return Selector{}, err
	}
	return sel, nil
}

// eachAttribute walks name=value pairs with percent encoding; RFC 7512 allows
// each name once.
func eachAttribute(s, sep string, set func(name, value string) error) error {
	if s == "" {
		return nil
	}
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(s, sep) {
		name, raw, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("PKCS#11 URI: %q is not name=value", pair)
		}
		if seen[name] {
			return fmt.Errorf("PKCS#11 URI: %q given twice", name)
		}
		seen[name] = true
		value, err := url.PathUnescape(raw)
		if err != nil {
			return fmt.Errorf("PKCS#11 URI: value of %q: %w", name, err)
		}
		if strings.ContainsRune(value, 0) && name != "id" {
			return fmt.Errorf("PKCS#11 URI: value of %q has a zero byte", name)
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Selector) setPath(name, value string) error {
	switch name {
	case "token":
		s.Label = value
	case "serial":
		s.Serial = value
	case "slot-id":
		n, err := strconv.ParseUint(value, 10, strconv.IntSize)
		if err != nil {
			return fmt.Errorf("PKCS#11 URI: slot-id: %w", err)
		}
		slot := uint(n)
		s.Slot = &slot
	case "manufacturer", "model", "library-manufacturer", "library-description", "library-version",
		"object", "id", "type", "slot-description", "slot-manufacturer":
	default:
		if !strings.HasPrefix(name, "x-") {
			return fmt.Errorf("PKCS#11 URI: unknown attribute %q", name)
		}
	}
	return nil
}

func (s *Selector) setQuery(name, value string) error {
	switch name {
	case "module-path":
		s.Module = value
	case "pin-value":
		return fmt.Errorf("PKCS#11 URI: pin-value is not accepted; give the PIN by reference")
	}
	return nil
}

// URI writes the selector as a PKCS#11 URI. InitArgs has no place in one.
func (s Selector) URI() string {
	var path []string
	if s.Label != "" {
		path = append(path, "token="+escapeURI(s.Label))
	}
	if s.Serial != "" {
		path = append(path, "serial="+escapeURI(s.Serial))
	}
	if s.Slot != nil {
		path = append(path, "slot-id="+strconv.FormatUint(uint64(*s.Slot), 10))
	}
	uri := "pkcs11:" + strings.Join(path, ";")
	if s.Module != "" {
		uri += "?module-path=" + escapeURI(s.Module)
	}
	return uri
}

// escapeURI encodes all but RFC 3986's unreserved characters.
func escapeURI(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return b.String()
}

// matches reports whether a token in a slot is the one that is meant. The
// module is not looked at.
func (s Selector) matches(slot uint, info TokenInfo) bool {
	if s.Slot != nil && *s.Slot != slot {
		return false
	}
	if s.Label != "" && s.Label != info.Label {
		return false
	}
	if s.Serial != "" && s.Serial != info.Serial {
		return false
	}
	return s.Label != "" || s.Serial != "" || s.Slot != nil
}
