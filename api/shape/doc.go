// Package shape holds the requests and responses of the AWS KMS API as Go structs, and turns them from and into AWS JSON
// 1.1: strict decoding, the model's constraints, encoding without nulls, and the same data in CloudTrail's spelling.
//
// A request names its members once, in the order of the service model: wire name, where the value goes, whether it is
// required, and its constraint. Decoding, checking and the audit record all walk that one list:
//
//	func (r *EncryptRequest) Members(m *Members) {
//		m.String("KeyId", &r.KeyID, required, &keyID)
//		m.Blob("Plaintext", &r.Plaintext, required, &plaintext)
//		…
//	}
//
// The package knows nothing of HTTP, of signatures or of what the operations do. It uses no reflection.
package shape
