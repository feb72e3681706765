package statetest

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// Before is a database that runs something once before a change: between what a service read and what it writes.
type Before struct {
	keystore.DB
	Do func() // nil is nothing; it is nil again when it has run
}

// Update runs Do first.
func (b *Before) Update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	if do := b.Do; do != nil {
		b.Do = nil
		do()
	}
	return b.DB.Update(ctx, fn)
}
