package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// importToken is what an import token says. Callers see it sealed.
type importToken struct {
	Key       string              `json:"key"` // ARN
	Wrapping  keystore.MaterialID `json:"wrapping"`
	Spec      keystore.Spec       `json:"spec"` // of the wrapping key
	Algorithm string              `json:"algorithm"`
	ValidTo   time.Time           `json:"valid_to"`
}

const purposeToken = "import-token"

func (s *Service) sealToken(ctx context.Context, t *importToken) ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return s.cfg.Vault.Seal(ctx, purposeToken, text)
}

// The texts follow the exceptions' descriptions (API reference, ImportKeyMaterial); AWS's own are not recorded.
const (
	textBadToken     = "The import token is invalid or is associated with a different KMS key."
	textExpiredToken = "The import token is expired. Use GetParametersForImport to get a new import token and public key."
)

// openToken opens an import token for a key, and checks that it is one that can still be used.
func (s *Service) openToken(ctx context.Context, k *keystore.Key, sealed []byte) (*importToken, error) {
	text, err := s.cfg.Vault.Open(ctx, purposeToken, sealed)
	if err != nil {
		var f *keystore.Fault
		if errors.As(err, &f) && f.Kind != keystore.KindInvalidCiphertext {
			return nil, err // the token of the vault can't be asked
		}
		return nil, keystore.Faultf(keystore.KindInvalidImportToken, textBadToken).Because(err)
	}
	var t importToken
	if err := json.Unmarshal(text, &t); err != nil || t.Key != k.ARN() {
		return nil, keystore.Faultf(keystore.KindInvalidImportToken, textBadToken).Because(err)
	}
	if !s.now().Before(t.ValidTo) {
		return nil, keystore.Faultf(keystore.KindExpiredImportToken, textExpiredToken)
	}
	return &t, nil
}
