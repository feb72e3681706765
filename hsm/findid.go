package hsm

import "context"

// FindID returns every object with that CKA_ID, whatever its label, so that a caller can tell a key that is missing from an
// object that took its place. None found is answered as by [Token.Find].
func (t *Token) FindID(ctx context.Context, id []byte) ([]Object, error) {
	if len(id) == 0 || len(id) > maxID {
		return nil, failf("C_FindObjects", BadInput, "CKA_ID of %d bytes; 1 to %d are possible", len(id), maxID)
	}
	return t.find(ctx, []Attribute{bytesAttr(ckaID, id)})
}
