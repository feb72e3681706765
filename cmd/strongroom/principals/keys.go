package principals

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// maxKeys is how many access keys a principal may have: two, so that one can replace the other (IAM quotas, "Access keys
// assigned to an IAM user").
const maxKeys = 2

// AddKey gives a principal another access key, whose secret is shown this once.
func (r *Registry) AddKey(ctx context.Context, name string) (*View, NewKey, error) {
	v, err := r.Show(ctx, name)
	if err != nil {
		return nil, NewKey{}, err
	}
	made := *v.Principal
	made.Created = r.Clock.Now() // of the key
	key, cred, err := r.newKey(ctx, &made)
	if err != nil {
		return nil, NewKey{}, err
	}
	v, err = r.changeKeys(ctx, v.ARN, func(tx keystore.Tx, v *View) error {
		if len(v.Keys) >= maxKeys {
			return invalid("%s has %d access keys, which is the most; delete one first", v.ARN, len(v.Keys))
		}
		return tx.InsertCredential(cred)
	})
	return v, key, err
}

// SetKeyDisabled refuses or accepts one access key of a principal from now on.
func (r *Registry) SetKeyDisabled(ctx context.Context, name, accessKeyID string, disabled bool) (*View, error) {
	return r.changeKeys(ctx, name, func(tx keystore.Tx, v *View) error {
		c, err := v.key(accessKeyID)
		if err != nil {
			return err
		}
		if disabled {
			if err := v.staysOpen(accessKeyID); err != nil {
				return err
			}
		}
		changed := *c
		changed.Disabled = disabled
		return tx.UpdateCredential(&changed)
	})
}

// DeleteKey takes an access key from a principal.
func (r *Registry) DeleteKey(ctx context.Context, name, accessKeyID string) (*View, error) {
	return r.changeKeys(ctx, name, func(tx keystore.Tx, v *View) error {
		if _, err := v.key(accessKeyID); err != nil {
			return err
		}
		if err := v.staysOpen(accessKeyID); err != nil {
			return err
		}
		return tx.DeleteCredential(accessKeyID)
	})
}

// changeKeys runs fn on a principal in one transaction, and gives the principal as it is afterwards.
func (r *Registry) changeKeys(ctx context.Context, name string, fn func(tx keystore.Tx, v *View) error) (*View, error) {
	var after *View
	err := r.update(ctx, func(tx keystore.Tx) error {
		p, err := r.find(tx, name)
		if err != nil {
			return err
		}
		if p.Leaving {
			return leaving(p)
		}
		creds, err := tx.Credentials(p.ARN)
		if err != nil {
			return err
		}
		if err := fn(tx, &View{p, creds}); err != nil {
			return err
		}
		creds, err = tx.Credentials(p.ARN)
		after = &View{p, creds}
		return err
	})
	return after, err
}

func (v *View) key(accessKeyID string) (*keystore.Credential, error) {
	for _, c := range v.Keys {
		if c.AccessKeyID == accessKeyID {
			return c, nil
		}
	}
	return nil, unknown("%s has no access key %q", v.ARN, accessKeyID)
}

// staysOpen refuses to take the last access key from the account root: it is the way back from any mistake.
func (v *View) staysOpen(without string) error {
	if v.Kind != keystore.PrincipalRoot {
		return nil
	}
	for _, c := range v.Keys {
		if c.AccessKeyID != without && !c.Disabled {
			return nil
		}
	}
	return invalid("this is the last access key of the account root; create another one first")
}
