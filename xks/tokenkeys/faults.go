package tokenkeys

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/xks"
)

const managerDown = "the key manager is not available"

// faults says what each class of token failure is in the protocol. A failure of the token must never look like a bad
// ciphertext: KMS would tell its caller that the data is lost.
var faults = map[hsm.Class]struct {
	name    xks.ErrorName
	message string
}{
	hsm.Internal:          {xks.InternalException, "the key manager failed"},
	hsm.ModuleMissing:     {xks.InternalException, managerDown},
	hsm.TokenMissing:      {xks.InternalException, managerDown},
	hsm.TokenAmbiguous:    {xks.InternalException, managerDown},
	hsm.TokenGone:         {xks.InternalException, managerDown},
	hsm.TokenDoubtful:     {xks.InternalException, managerDown},
	hsm.NotInitialized:    {xks.InternalException, managerDown},
	hsm.SessionLost:       {xks.InternalException, managerDown},
	hsm.PINIncorrect:      {xks.InternalException, managerDown},
	hsm.PINLocked:         {xks.InternalException, managerDown},
	hsm.PINNotSet:         {xks.InternalException, managerDown},
	hsm.PINExpired:        {xks.InternalException, managerDown},
	hsm.NotLoggedIn:       {xks.InternalException, managerDown},
	hsm.LoggedInElsewhere: {xks.InternalException, managerDown},
	hsm.Busy:              {xks.ThrottlingException, "the key manager has too many requests in progress"},
	hsm.Timeout:           {xks.DependencyTimeoutException, "the key manager did not answer in time"},
	hsm.Stuck:             {xks.DependencyTimeoutException, "the key manager does not answer"},
	hsm.BadCiphertext:     {xks.InvalidCiphertextException, "the ciphertext, its metadata or the additional authenticated data is not authentic"},
	hsm.KeyMissing:        {xks.KeyNotFoundException, "the external key was not found"},
	hsm.KeyInvalid:        {xks.InvalidStateException, "the external key is not what it was"},
	hsm.Unsupported:       {xks.InvalidKeyUsageException, "the key manager cannot do this with the external key"},
	hsm.ReadOnly:          {xks.InternalException, "the key manager is write-protected"},
	hsm.Refused:           {xks.InvalidKeyUsageException, "the external key does not permit the operation"},
	hsm.Full:              {xks.InternalException, "the key manager has no room"},
	hsm.BadInput:          {xks.UnsupportedOperationException, "the key manager does not take data of this size"},
	hsm.Closed:            {xks.InternalException, managerDown},
}

// fault gives the protocol's error for a token's. What fails once the caller's time is over is a timeout, however the
// token layer names it: waiting in its queue counts too.
func fault(ctx context.Context, err error) error {
	var known *xks.Error
	if errors.As(err, &known) {
		return err
	}
	row, ok := faults[hsm.ClassOf(err)]
	if !ok {
		row = faults[hsm.Internal]
	}
	if ctx.Err() != nil && row.name != xks.InvalidCiphertextException {
		row = faults[hsm.Timeout]
	}
	return xks.WrapError(row.name, row.message, err)
}
