package custom

import (
	"context"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Openers opens each store with the opener of its type.
type Openers map[keystore.StoreType]Opener

// Open passes the call on; a type without an opener is INTERNAL_ERROR.
func (o Openers) Open(ctx context.Context, s *keystore.Store, secret []byte) (backend.Backend, error) {
	opener, ok := o[s.Type]
	if !ok {
		return nil, &ConnectError{Code: keystore.ConnInternalError, Cause: fmt.Errorf("no opener for stores of type %s", s.Type)}
	}
	return opener.Open(ctx, s, secret)
}
