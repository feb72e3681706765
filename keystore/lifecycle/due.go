package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// duePage is how many due keys are read at once, shownErrors how many of those that fail are told one by one.
const (
	duePage     = 256
	shownErrors = 16
)

// eachDue calls fn once with every key that is due, oldest date first. list gives the first of those that are due still: what
// fn has done is among them no more, and what it has not done is passed over, so that keys that can't be dealt with keep no
// other from their turn. The errors are joined.
func (s *Service) eachDue(ctx context.Context, list func(tx keystore.Tx, limit int) ([]*keystore.Key, error),
	fn func(k *keystore.Key) (done bool, err error)) error {
	seen := map[string]bool{}
	left, failed := 0, 0
	var errs []error
	for ctx.Err() == nil {
		limit := duePage + left
		var due []*keystore.Key
		err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
			due, err = list(tx, limit)
			return err
		})
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("find due keys: %w", err))...)
		}
		fresh := false
		for _, k := range due {
			if arn := k.ARN(); seen[arn] || ctx.Err() != nil {
				continue
			} else {
				seen[arn], fresh = true, true
			}
			done, err := fn(k)
			if !done {
				left++
			}
			if err != nil {
				if failed++; failed <= shownErrors {
					errs = append(errs, fmt.Errorf("%s: %w", k.ARN(), err))
				}
			}
		}
		if len(due) < limit || !fresh {
			break
		}
	}
	if failed > shownErrors {
		errs = append(errs, fmt.Errorf("and %d more", failed-shownErrors))
	}
	return errors.Join(append(errs, ctx.Err())...)
}
