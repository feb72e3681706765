package keystore

import (
	"encoding/base64"
	"strings"
)

// Page asks for one page of a list: at most Limit items after the place that Marker names ("" for the first page).
type Page struct {
	Limit  int
	Marker string
}

// After decodes the marker of a list of the given kind; "" for the first page. A marker of another list, or one that this
// function did not make, is KindInvalidMarker.
func (p Page) After(list string) (string, error) {
	if p.Marker == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Marker)
	if err != nil {
		return "", &Fault{Kind: KindInvalidMarker, Cause: err}
	}
	after, ok := strings.CutPrefix(string(raw), list+"\x00")
	if !ok || after == "" {
		return "", &Fault{Kind: KindInvalidMarker}
	}
	return after, nil
}

// NextMarker makes the marker that continues a list behind its item last.
func NextMarker(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + last))
}
