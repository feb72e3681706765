package xks

// RequestMetadata is what KMS says about the call behind a request. A proxy needs no more of it than that the
// required members are there; the signature covers all of it.
type RequestMetadata struct {
	PrincipalARN string // awsPrincipalArn: an ARN, a service principal, or PrincipalAWSInternal
	SourceVPC    string // awsSourceVpc
	SourceVPCE   string // awsSourceVpce
	KMSKeyARN    string // kmsKeyArn
	KMSOperation string // kmsOperation: any value is accepted
	KMSRequestID string // kmsRequestId
	ViaService   string // kmsViaService
}

// HealthRequest is the body of GetHealthStatus.
type HealthRequest struct{ Metadata RequestMetadata }

// MetadataRequest is the body of GetKeyMetadata.
type MetadataRequest struct{ Metadata RequestMetadata }

// EncryptRequest is the body of Encrypt. Byte strings are decoded.
type EncryptRequest struct {
	Metadata  RequestMetadata
	Plaintext []byte
	AAD       []byte // additionalAuthenticatedData; absent and empty are the same
	CDIV      bool   // ciphertextDataIntegrityValueAlgorithm SHA_256 was given
}

// DecryptRequest is the body of Decrypt. Byte strings are decoded.
type DecryptRequest struct {
	Metadata           RequestMetadata
	Ciphertext         []byte
	CiphertextMetadata []byte // absent and empty are the same
	AAD                []byte
	IV                 []byte
	Tag                []byte
}

// Limits are the most that an implementation handles, in decoded bytes. More is answered with
// UnsupportedOperationException. The zero value means DefaultLimits.
type Limits struct {
	Plaintext int // of plaintext and ciphertext; at least MinPlaintextSupport
	AAD       int // at least MinAADSupport, at most MaxAAD
}

// DefaultLimits leaves room over what the specification requires, and stays below what tokens take; KMS itself sends
// at most 4300 and 8192 bytes.
var DefaultLimits = Limits{Plaintext: 8 << 10, AAD: 32 << 10}

func (l Limits) orDefault() Limits {
	if l.Plaintext == 0 {
		l.Plaintext = DefaultLimits.Plaintext
	}
	if l.AAD == 0 {
		l.AAD = DefaultLimits.AAD
	}
	return l
}

// MaxBody is the longest request body that can be legal under these limits, with room for members yet unknown.
func (l Limits) MaxBody() int {
	l = l.orDefault()
	const rest = 16 << 10 // two ARNs of 2048 characters, identifiers, names and what the future adds
	return base64Strict.EncodedLen(l.Plaintext) + base64Strict.EncodedLen(l.AAD) + rest
}

const inMetadata = "requestMetadata."

var metadataNames = []string{
	"awsPrincipalArn", "awsSourceVpc", "awsSourceVpce", "kmsKeyArn", "kmsOperation", "kmsRequestId", "kmsViaService",
}

// decodeMetadata reads requestMetadata, with the members that the operation requires.
func decodeMetadata(value []byte, op Operation, m *RequestMetadata) error {
	if value == nil {
		return invalid("requestMetadata is missing")
	}
	if value[0] != '{' {
		return invalid("requestMetadata is not an object")
	}
	var values [7][]byte
	if err := scanObject(value, inMetadata, metadataNames, values[:]); err != nil {
		return err
	}
	principal, key := op != OpHealth, op == OpEncrypt || op == OpDecrypt
	for i, f := range [...]struct {
		out      *string
		required bool
	}{
		{&m.PrincipalARN, principal}, {&m.SourceVPC, false}, {&m.SourceVPCE, false}, {&m.KMSKeyARN, key},
		{&m.KMSOperation, true}, {&m.KMSRequestID, true}, {&m.ViaService, false},
	} {
		if err := textMember(values[i], metadataNames[i], f.required, f.out); err != nil {
			return err
		}
	}
	return nil
}

var onlyMetadataNames = []string{"requestMetadata"}

func decodeOnlyMetadata(body []byte, op Operation, m *RequestMetadata) error {
	body, err := checkDocument(body)
	if err != nil {
		return err
	}
	var values [1][]byte
	if err := scanObject(body, "", onlyMetadataNames, values[:]); err != nil {
		return err
	}
	return decodeMetadata(values[0], op, m)
}

// DecodeHealthRequest reads the body of GetHealthStatus. Errors of all four decoders are *Error: ValidationException
// for bad form, UnsupportedOperationException for sizes beyond the limits, InvalidCiphertextException for parts of a
// ciphertext that cannot be one.
func DecodeHealthRequest(body []byte) (r HealthRequest, err error) {
	return r, decodeOnlyMetadata(body, OpHealth, &r.Metadata)
}

// DecodeMetadataRequest reads the body of GetKeyMetadata.
func DecodeMetadataRequest(body []byte) (r MetadataRequest, err error) {
	return r, decodeOnlyMetadata(body, OpMetadata, &r.Metadata)
}

var encryptNames = []string{
	"requestMetadata", "plaintext", "encryptionAlgorithm", "additionalAuthenticatedData", "ciphertextDataIntegrityValueAlgorithm",
}

// DecodeEncryptRequest reads the body of Encrypt.
func DecodeEncryptRequest(body []byte, limits Limits) (r EncryptRequest, err error) {
	limits = limits.orDefault()
	if body, err = checkDocument(body); err != nil {
		return r, err
	}
	var values [5][]byte
	if err := scanObject(body, "", encryptNames, values[:]); err != nil {
		return r, err
	}
	if err := decodeMetadata(values[0], OpEncrypt, &r.Metadata); err != nil {
		return r, err
	}
	if err := checkAlgorithm(values[2]); err != nil {
		return r, err
	}
	if err := bytesMember(values[1], "plaintext", true, limits.Plaintext, &r.Plaintext); err != nil {
		return r, err
	}
	if len(r.Plaintext) == 0 {
		return r, invalid("plaintext is empty")
	}
	if err := bytesMember(values[3], "additionalAuthenticatedData", false, limits.AAD, &r.AAD); err != nil {
		return r, err
	}
	var cdiv string
	if err := textMember(values[4], "ciphertextDataIntegrityValueAlgorithm", false, &cdiv); err != nil {
		return r, err
	}
	if values[4] != nil && cdiv != CDIVSHA256 {
		return r, invalid("ciphertextDataIntegrityValueAlgorithm is not " + CDIVSHA256)
	}
	r.CDIV = values[4] != nil
	return r, nil
}

func checkAlgorithm(value []byte) error {
	var algorithm string
	if err := textMember(value, "encryptionAlgorithm", true, &algorithm); err != nil {
		return err
	}
	if algorithm != AlgorithmAESGCM {
		return invalid("encryptionAlgorithm is not " + AlgorithmAESGCM)
	}
	return nil
}

var decryptNames = []string{
	"requestMetadata", "ciphertext", "encryptionAlgorithm", "additionalAuthenticatedData", "ciphertextMetadata",
	"initializationVector", "authenticationTag",
}

// DecodeDecryptRequest reads the body of Decrypt.
func DecodeDecryptRequest(body []byte, limits Limits) (r DecryptRequest, err error) {
	limits = limits.orDefault()
	if body, err = checkDocument(body); err != nil {
		return r, err
	}
	var values [7][]byte
	if err := scanObject(body, "", decryptNames, values[:]); err != nil {
		return r, err
	}
	if err := decodeMetadata(values[0], OpDecrypt, &r.Metadata); err != nil {
		return r, err
	}
	if err := checkAlgorithm(values[2]); err != nil {
		return r, err
	}
	// Short parts are read with room to spare, so that a wrong length is told from a broken encoding.
	const room = 1024
	for _, f := range [...]struct {
		value    []byte
		name     string
		required bool
		limit    int
		out      *[]byte
	}{
		{values[1], "ciphertext", true, limits.Plaintext, &r.Ciphertext},
		{values[3], "additionalAuthenticatedData", false, limits.AAD, &r.AAD},
		{values[4], "ciphertextMetadata", false, room, &r.CiphertextMetadata},
		{values[5], "initializationVector", true, room, &r.IV},
		{values[6], "authenticationTag", true, room, &r.Tag},
	} {
		if err := bytesMember(f.value, f.name, f.required, f.limit, f.out); err != nil {
			if f.limit == room && NameOf(err) == UnsupportedOperationException {
				err = invalid(f.name + " is too long")
			}
			return r, err
		}
	}
	return r, checkParts(&r)
}

func checkParts(r *DecryptRequest) error {
	switch {
	case len(r.CiphertextMetadata) > MaxMetadata:
		return invalid("ciphertextMetadata is longer than 20 bytes")
	case len(r.Ciphertext) == 0:
		return NewError(InvalidCiphertextException, "ciphertext is empty")
	case len(r.IV) != IVSize && len(r.IV) != LongIVSize:
		return NewError(InvalidCiphertextException, "initializationVector is not 12 or 16 bytes long")
	case len(r.Tag) != TagSize:
		return NewError(InvalidCiphertextException, "authenticationTag is not 16 bytes long")
	}
	return nil
}

// appendTo appends what the operation requires, empty or not, and the rest where it says something.
func (m *RequestMetadata) appendTo(o *members, op Operation) {
	o.name("requestMetadata")
	inner := members{b: append(o.b, '{')}
	if m.PrincipalARN != "" || op != OpHealth {
		inner.text("awsPrincipalArn", m.PrincipalARN)
	}
	inner.optionalText("awsSourceVpc", m.SourceVPC)
	inner.optionalText("awsSourceVpce", m.SourceVPCE)
	if m.KMSKeyARN != "" || op == OpEncrypt || op == OpDecrypt {
		inner.text("kmsKeyArn", m.KMSKeyARN)
	}
	inner.text("kmsOperation", m.KMSOperation)
	inner.text("kmsRequestId", m.KMSRequestID)
	inner.optionalText("kmsViaService", m.ViaService)
	o.b = append(inner.b, '}')
}

// Encode gives the request as one line of JSON.
func (r *HealthRequest) Encode() []byte { return encodeOnlyMetadata(&r.Metadata, OpHealth) }

// Encode gives the request as one line of JSON.
func (r *MetadataRequest) Encode() []byte { return encodeOnlyMetadata(&r.Metadata, OpMetadata) }

func encodeOnlyMetadata(m *RequestMetadata, op Operation) []byte {
	o := members{b: append(make([]byte, 0, 512), '{')}
	m.appendTo(&o, op)
	return append(o.b, '}')
}

// Encode gives the request as one line of JSON. It holds the plaintext: wipe it after use.
func (r *EncryptRequest) Encode() []byte {
	size := 1024 + base64Strict.EncodedLen(len(r.Plaintext)) + base64Strict.EncodedLen(len(r.AAD))
	o := members{b: append(make([]byte, 0, size), '{')}
	r.Metadata.appendTo(&o, OpEncrypt)
	o.bytes("plaintext", r.Plaintext)
	o.text("encryptionAlgorithm", AlgorithmAESGCM)
	o.optionalBytes("additionalAuthenticatedData", r.AAD)
	if r.CDIV {
		o.text("ciphertextDataIntegrityValueAlgorithm", CDIVSHA256)
	}
	return append(o.b, '}')
}

// Encode gives the request as one line of JSON.
func (r *DecryptRequest) Encode() []byte {
	size := 1024 + base64Strict.EncodedLen(len(r.Ciphertext)) + base64Strict.EncodedLen(len(r.AAD))
	o := members{b: append(make([]byte, 0, size), '{')}
	r.Metadata.appendTo(&o, OpDecrypt)
	o.bytes("ciphertext", r.Ciphertext)
	o.optionalBytes("ciphertextMetadata", r.CiphertextMetadata)
	o.text("encryptionAlgorithm", AlgorithmAESGCM)
	o.optionalBytes("additionalAuthenticatedData", r.AAD)
	o.bytes("initializationVector", r.IV)
	o.bytes("authenticationTag", r.Tag)
	return append(o.b, '}')
}
