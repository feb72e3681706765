package shape

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Request is a request or a structure inside one. Members names every member to m, in the order of the service model.
type Request interface{ Members(m *Members) }

// Need says whether a member has to be there.
type Need bool

const (
	optional Need = false
	required Need = true
)

// Structure is a structure inside a request.
type Structure interface {
	Request
	// Give marks the structure as being in the request.
	Give()
}

// Given is the part of a Structure that tells whether it was in the request.
type Given struct{ Present bool }

// Give implements Structure.
func (g *Given) Give() { g.Present = true }

// member is one member of a request while it is worked on: where it goes and, after decoding, whether it was there.
type member struct {
	name  string
	at    any // *string, *[]byte, *bool, **int32, *time.Time, *map[string]string, *[]string, *[]keystore.Tag, Structure
	rule  *Rule
	inner *Rule // of the elements of a list
	need  Need
	set   bool
	nest  []Members // of a structure: one; of a list of structures: one per element
}

// Members is the list of a request's members. One can be used for request after request: Reset, or Decode, empties it.
// Not safe for concurrent use.
type Members struct {
	// XksEndpointPorts accepts a port in XksProxyUriEndpoint, which AWS does not. It outlives Reset.
	XksEndpointPorts bool

	list  []member
	blobs []byte // decoded blobs; the request's blob members point into it
}

// endpoint adds an XksProxyUriEndpoint.
func (m *Members) endpoint(at *string) {
	rule := &xksEndpoint
	if m.XksEndpointPorts {
		rule = &xksEndpointPort
	}
	m.String("XksProxyUriEndpoint", at, optional, rule)
}

// Reset forgets the request and wipes the blobs that were decoded from it: the request's blob members are zeros then.
func (m *Members) Reset() {
	clear(m.list) // drops what it points to
	m.list = m.list[:0]
	clear(m.blobs)
	m.blobs = m.blobs[:0]
	if cap(m.blobs) > maxKept {
		m.blobs = nil
	}
}

// maxKept is how much memory for blobs is kept from one request to the next.
const maxKept = 32 << 10

func (m *Members) add(name string, at any, need Need, rule *Rule) {
	m.list = append(m.list, member{name: name, at: at, need: need, rule: rule})
}

// String adds a string or enumeration.
func (m *Members) String(name string, at *string, need Need, rule *Rule) { m.add(name, at, need, rule) }

// Blob adds a blob. Its bytes stay valid until the next Reset or Decode.
func (m *Members) Blob(name string, at *[]byte, need Need, rule *Rule) { m.add(name, at, need, rule) }

// Bool adds a boolean; absent is false.
func (m *Members) Bool(name string, at *bool) { m.add(name, at, optional, nil) }

// Int adds an integer.
func (m *Members) Int(name string, at **int32, rule *Rule) { m.add(name, at, optional, rule) }

// Time adds a timestamp; absent is the zero time.
func (m *Members) Time(name string, at *time.Time) { m.add(name, at, optional, nil) }

// Map adds a map of strings; absent is nil.
func (m *Members) Map(name string, at *map[string]string) { m.add(name, at, optional, nil) }

// Strings adds a list of strings: rule bounds the list, inner its elements. Absent is nil.
func (m *Members) Strings(name string, at *[]string, need Need, rule, inner *Rule) {
	m.list = append(m.list, member{name: name, at: at, need: need, rule: rule, inner: inner})
}

// Tags adds a list of tags.
func (m *Members) Tags(name string, at *[]keystore.Tag, need Need) { m.add(name, at, need, nil) }

// Struct adds a structure.
func (m *Members) Struct(name string, at Structure) { m.add(name, at, optional, nil) }

// tag is a keystore.Tag as a structure of a request.
type tag keystore.Tag

// Members implements Request.
func (t *tag) Members(m *Members) {
	m.String("TagKey", &t.Key, required, &tagKey)
	m.String("TagValue", &t.Value, required, &tagValue)
}

// Has tells whether the request had that member, not null.
func (m *Members) Has(name string) bool {
	for i := range m.list {
		if m.list[i].name == name {
			return m.list[i].set
		}
	}
	return false
}

// Text gives the string member of that name, "" where there is none.
func (m *Members) Text(name string) string {
	for i := range m.list {
		if at, ok := m.list[i].at.(*string); ok && m.list[i].name == name {
			return *at
		}
	}
	return ""
}

// Bytes gives a member that is a blob, shared with the request; nil where it is absent.
func (m *Members) Bytes(name string) []byte {
	for i := range m.list {
		if at, ok := m.list[i].at.(*[]byte); ok && m.list[i].name == name {
			return *at
		}
	}
	return nil
}
