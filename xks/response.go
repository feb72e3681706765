package xks

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Instance is an entry of ekmFleetDetails: one key manager, here one token.
type Instance struct {
	ID     string // unique within the cluster
	Model  string
	Status HealthStatus
}

// HealthResponse is the answer of GetHealthStatus.
type HealthResponse struct {
	FleetSize int // proxies serving this endpoint, at least 1
	Vendor    string
	Model     string // product and version of the proxy
	EKMVendor string
	Instances []Instance // 1 to MaxInstances
}

// MetadataResponse is the answer of GetKeyMetadata.
type MetadataResponse struct {
	KeySpec   string // AES_256, or the truth
	KeyUsage  []string
	KeyStatus KeyStatus
}

// EncryptResponse is the answer of Encrypt. Byte strings are decoded.
type EncryptResponse struct {
	Ciphertext         []byte // as long as the plaintext: the tag is not in it
	CiphertextMetadata []byte // at most MaxMetadata bytes; nil leaves the member out
	IV                 []byte
	Tag                []byte
	CDIV               []byte // nil unless asked for
}

// DecryptResponse is the answer of Decrypt.
type DecryptResponse struct{ Plaintext []byte }

// ErrMalformed is wrapped by every error of the response decoders: an answer that does not keep to the protocol.
var ErrMalformed = errors.New("malformed response")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Encode gives the answer as one line of JSON.
func (r *HealthResponse) Encode() []byte {
	o := members{b: append(make([]byte, 0, 512), '{')}
	o.name("xksProxyFleetSize")
	o.b = strconv.AppendInt(o.b, int64(r.FleetSize), 10)
	o.text("xksProxyVendor", r.Vendor)
	o.text("xksProxyModel", r.Model)
	o.text("ekmVendor", r.EKMVendor)
	o.name("ekmFleetDetails")
	o.b = append(o.b, '[')
	for i, instance := range r.Instances {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		inner := members{b: append(o.b, '{')}
		inner.text("id", instance.ID)
		inner.text("model", instance.Model)
		inner.text("healthStatus", string(instance.Status))
		o.b = append(inner.b, '}')
	}
	return append(o.b, ']', '}')
}

// Encode gives the answer as one line of JSON.
func (r *MetadataResponse) Encode() []byte {
	o := members{b: append(make([]byte, 0, 128), '{')}
	o.text("keySpec", r.KeySpec)
	o.name("keyUsage")
	o.b = append(o.b, '[')
	for i, usage := range r.KeyUsage {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendText(o.b, usage)
	}
	o.b = append(o.b, ']')
	o.text("keyStatus", string(r.KeyStatus))
	return append(o.b, '}')
}

// Encode gives the answer as one line of JSON.
func (r *EncryptResponse) Encode() []byte {
	o := members{b: append(make([]byte, 0, 320+base64Strict.EncodedLen(len(r.Ciphertext))), '{')}
	o.bytes("ciphertext", r.Ciphertext)
	o.optionalBytes("ciphertextMetadata", r.CiphertextMetadata)
	o.bytes("initializationVector", r.IV)
	o.bytes("authenticationTag", r.Tag)
	o.optionalBytes("ciphertextDataIntegrityValue", r.CDIV)
	return append(o.b, '}')
}

// Encode gives the answer as one line of JSON. It holds the plaintext: wipe it after use.
func (r *DecryptResponse) Encode() []byte {
	o := members{b: append(make([]byte, 0, 32+base64Strict.EncodedLen(len(r.Plaintext))), '{')}
	o.bytes("plaintext", r.Plaintext)
	return append(o.b, '}')
}

// Encode gives the body of an error answer as one line of JSON.
func (e *Error) Encode() []byte {
	o := members{b: append(make([]byte, 0, 192), '{')}
	o.text("errorName", string(e.Name))
	o.optionalText("errorMessage", CleanMessage(e.Message))
	return append(o.b, '}')
}

// responseMembers is scanObject for answers: every fault is ErrMalformed.
func responseMembers(body []byte, names []string, values [][]byte) error {
	body, err := checkDocument(body)
	if err == nil {
		err = scanObject(body, "", names, values)
	}
	if err != nil {
		return malformed("%v", err)
	}
	return nil
}

func responseText(value []byte, name string, out *string) error {
	if err := textMember(value, name, true, out); err != nil {
		return malformed("%v", err)
	}
	return nil
}

func responseBytes(value []byte, name string, required bool, limit int, out *[]byte) error {
	if err := bytesMember(value, name, required, limit, out); err != nil {
		return malformed("%v", err)
	}
	return nil
}

// DecodeError reads the body of an error answer. A body without a usable errorName is malformed. A name that the
// protocol does not have is kept: the caller decides.
func DecodeError(body []byte) (*Error, error) {
	var values [2][]byte
	if err := responseMembers(body, []string{"errorName", "errorMessage"}, values[:]); err != nil {
		return nil, err
	}
	var name, message string
	if err := responseText(values[0], "errorName", &name); err != nil {
		return nil, err
	}
	if err := textMember(values[1], "errorMessage", false, &message); err != nil {
		return nil, malformed("%v", err)
	}
	if name == "" {
		return nil, malformed("errorName is empty")
	}
	return &Error{Name: ErrorName(name), Message: CleanMessage(message)}, nil
}

// DecodeEncryptResponse reads the answer to req and checks it against the request: lengths, the metadata's limit,
// and the integrity value if one was asked for. Errors match ErrMalformed.
func DecodeEncryptResponse(body []byte, req *EncryptRequest) (r EncryptResponse, err error) {
	var values [5][]byte
	names := []string{"ciphertext", "ciphertextMetadata", "initializationVector", "authenticationTag", "ciphertextDataIntegrityValue"}
	if err := responseMembers(body, names, values[:]); err != nil {
		return r, err
	}
	for i, f := range [...]struct {
		required bool
		limit    int
		out      *[]byte
	}{
		{true, len(req.Plaintext), &r.Ciphertext}, {false, MaxMetadata, &r.CiphertextMetadata},
		{true, LongIVSize, &r.IV}, {true, TagSize, &r.Tag}, {req.CDIV, CDIVSize, &r.CDIV},
	} {
		if err := responseBytes(values[i], names[i], f.required, f.limit, f.out); err != nil {
			return r, err
		}
	}
	switch {
	case len(r.Ciphertext) != len(req.Plaintext):
		return r, malformed("ciphertext of %d bytes for a plaintext of %d", len(r.Ciphertext), len(req.Plaintext))
	case len(r.IV) != IVSize && len(r.IV) != LongIVSize:
		return r, malformed("initializationVector of %d bytes", len(r.IV))
	case len(r.Tag) != TagSize:
		return r, malformed("authenticationTag of %d bytes", len(r.Tag))
	}
	if !req.CDIV {
		return r, nil
	}
	want := CDIV(req.AAD, r.CiphertextMetadata, r.IV, r.Ciphertext, r.Tag)
	if subtle.ConstantTimeCompare(want[:], r.CDIV) != 1 {
		return r, malformed("ciphertextDataIntegrityValue does not match")
	}
	return r, nil
}

// DecodeDecryptResponse reads the answer to req. The plaintext must be as long as the ciphertext.
func DecodeDecryptResponse(body []byte, req *DecryptRequest) (r DecryptResponse, err error) {
	var values [1][]byte
	if err := responseMembers(body, []string{"plaintext"}, values[:]); err != nil {
		return r, err
	}
	if err := responseBytes(values[0], "plaintext", true, len(req.Ciphertext), &r.Plaintext); err != nil {
		return r, err
	}
	if len(r.Plaintext) != len(req.Ciphertext) {
		return r, malformed("plaintext of %d bytes for a ciphertext of %d", len(r.Plaintext), len(req.Ciphertext))
	}
	return r, nil
}

// DecodeMetadataResponse reads the answer of GetKeyMetadata.
func DecodeMetadataResponse(body []byte) (r MetadataResponse, err error) {
	var values [3][]byte
	if err := responseMembers(body, []string{"keySpec", "keyUsage", "keyStatus"}, values[:]); err != nil {
		return r, err
	}
	if err := responseText(values[0], "keySpec", &r.KeySpec); err != nil {
		return r, err
	}
	var status string
	if err := responseText(values[2], "keyStatus", &status); err != nil {
		return r, err
	}
	r.KeyStatus = KeyStatus(status)
	if values[1] == nil || json.Unmarshal(values[1], &r.KeyUsage) != nil {
		return r, malformed("keyUsage is not a list of strings")
	}
	switch {
	case len(r.KeyUsage) > MaxKeyUsages:
		return r, malformed("keyUsage has %d values", len(r.KeyUsage))
	case r.KeySpec == "":
		return r, malformed("keySpec is empty")
	case r.KeyStatus != KeyEnabled && r.KeyStatus != KeyDisabled:
		return r, malformed("keyStatus is neither ENABLED nor DISABLED")
	}
	return r, nil
}

// DecodeHealthResponse reads the answer of GetHealthStatus.
func DecodeHealthResponse(body []byte) (r HealthResponse, err error) {
	var values [5][]byte
	names := []string{"xksProxyFleetSize", "xksProxyVendor", "xksProxyModel", "ekmVendor", "ekmFleetDetails"}
	if err := responseMembers(body, names, values[:]); err != nil {
		return r, err
	}
	if values[0] == nil || json.Unmarshal(values[0], &r.FleetSize) != nil || r.FleetSize < 1 {
		return r, malformed("xksProxyFleetSize is not a positive integer")
	}
	for i, out := range []*string{&r.Vendor, &r.Model, &r.EKMVendor} {
		if err := responseText(values[i+1], names[i+1], out); err != nil {
			return r, err
		}
	}
	var entries []json.RawMessage
	if values[4] == nil || json.Unmarshal(values[4], &entries) != nil || len(entries) == 0 || len(entries) > MaxInstances {
		return r, malformed("ekmFleetDetails is not a list of 1 to 10 entries")
	}
	for _, entry := range entries {
		instance, err := decodeInstance(entry)
		if err != nil {
			return r, err
		}
		r.Instances = append(r.Instances, instance)
	}
	return r, nil
}

func decodeInstance(entry []byte) (instance Instance, err error) {
	if len(entry) == 0 || entry[0] != '{' {
		return instance, malformed("an entry of ekmFleetDetails is not an object")
	}
	var values [3][]byte
	names := []string{"id", "model", "healthStatus"}
	if err := scanObject(entry, "ekmFleetDetails.", names, values[:]); err != nil {
		return instance, malformed("%v", err)
	}
	var status string
	for i, out := range []*string{&instance.ID, &instance.Model, &status} {
		if err := responseText(values[i], names[i], out); err != nil {
			return instance, err
		}
	}
	instance.Status = HealthStatus(status)
	switch instance.Status {
	case Active, Degraded, Unavailable:
		return instance, nil
	}
	return instance, malformed("healthStatus is not ACTIVE, DEGRADED or UNAVAILABLE")
}

// AllUnavailable reports whether no instance serves: then KMS treats the proxy as unreachable.
func (r *HealthResponse) AllUnavailable() bool {
	for _, instance := range r.Instances {
		if instance.Status != Unavailable {
			return false
		}
	}
	return true
}
