package shape_test

import (
	"testing"

	"github.com/strongroom/strongroom/api/shape"
)

// BenchmarkEncrypt is all that this package does for one Encrypt of 32 bytes: decode, check, parameters, answer.
func BenchmarkEncrypt(b *testing.B) {
	body := []byte(`{"KeyId":"` + keyARN + `","Plaintext":"` + blob(32) + `","EncryptionContext":{"purpose":"benchmark"}}`)
	answer := &shape.EncryptResponse{CiphertextBlob: make([]byte, 110), KeyID: keyARN, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}
	var m shape.Members
	var out, parameters []byte
	b.ReportAllocs()
	for b.Loop() {
		r := new(shape.EncryptRequest)
		if err := m.Decode(body, r); err != nil {
			b.Fatal(err)
		}
		if err := m.Check(); err != nil {
			b.Fatal(err)
		}
		parameters = m.AppendParameters(parameters[:0])
		out = shape.Append(out[:0], answer)
	}
}
