package principals

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// idPrefixes begin unique ids (IAM user guide, "Unique identifiers").
var idPrefixes = map[keystore.PrincipalKind]string{keystore.PrincipalUser: "AIDA", keystore.PrincipalRole: "AROA"}

// newID makes the unique id of a principal, 21 characters as IAM's have.
func newID(random io.Reader, kind keystore.PrincipalKind) (string, error) {
	var b [11]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make a unique id: %w", err)
	}
	return idPrefixes[kind] + base32.StdEncoding.EncodeToString(b[:])[:17], nil
}

// Delete removes a principal with its access keys. Where key policies and grants name it, its unique id takes the place of its
// ARN, as in AWS: whoever is made under the same ARN later inherits nothing. The account root stays: it is the way back from
// any mistake.
//
// From the first of its transactions on the principal can't sign and nothing new can name it. What was begun and not finished
// goes on when it is asked for again, and at the next start.
func (r *Registry) Delete(ctx context.Context, name string) (*View, error) {
	var p *keystore.Principal
	err := r.update(ctx, func(tx keystore.Tx) (err error) {
		p, err = r.leave(tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &View{Principal: p}, r.finish(ctx, p)
}

// leave begins a deletion.
func (r *Registry) leave(tx keystore.Tx, name string) (*keystore.Principal, error) {
	p, err := r.find(tx, name)
	if err != nil {
		return nil, err
	}
	if p.Kind == keystore.PrincipalRoot {
		return nil, invalid("the account root cannot be deleted; disable it instead")
	}
	creds, err := tx.Credentials(p.ARN)
	if err != nil {
		return nil, err
	}
	for _, c := range creds {
		if err := tx.DeleteCredential(c.AccessKeyID); err != nil {
			return nil, err
		}
	}
	if p.Leaving {
		return p, nil
	}
	p.Leaving, p.Disabled = true, true
	if p.ID == "" { // made before there were ids
		if p.ID, err = newID(r.Random, p.Kind); err != nil {
			return nil, err
		}
	}
	return p, tx.UpdatePrincipal(p)
}

// finish ends a deletion that has begun.
func (r *Registry) finish(ctx context.Context, p *keystore.Principal) error {
	if err := r.forgetInPolicies(ctx, p); err != nil {
		return fmt.Errorf("delete %s: key policies: %w", p.ARN, err)
	}
	if err := r.forgetInGrants(ctx, p); err != nil {
		return fmt.Errorf("delete %s: grants: %w", p.ARN, err)
	}
	err := r.update(ctx, func(tx keystore.Tx) error { return tx.DeletePrincipal(p.ARN) })
	if errors.Is(err, keystore.ErrNoRow) {
		return nil // somebody else has finished it
	}
	return err
}

// atOnce is how many keys or grants one transaction changes: other writers wait no longer than that takes.
const atOnce = 100

// forgetInPolicies puts the unique id in the place of the ARN in every key policy.
func (r *Registry) forgetInPolicies(ctx context.Context, p *keystore.Principal) error {
	var region string
	var after keystore.KeyID
	for {
		var named []*keystore.Key
		err := r.DB.View(ctx, func(tx keystore.Tx) (err error) {
			named, err = tx.KeysNaming(p.ARN, region, after, atOnce)
			return err
		})
		if err != nil || len(named) == 0 {
			return err
		}
		err = r.DB.Update(ctx, func(tx keystore.Tx) error {
			for _, k := range named {
				if err := renameIn(tx, k, p); err != nil {
					return fmt.Errorf("key %s: %w", k.ARN(), err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		last := named[len(named)-1]
		region, after = last.Region, last.ID
	}
}

// renameIn does it in the policy that a key has now.
func renameIn(tx keystore.Tx, k *keystore.Key, p *keystore.Principal) error {
	now, err := tx.Key(k.Region, k.ID)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil
	}
	if err != nil {
		return err
	}
	text, changed, err := access.RenamePrincipal(now.Policy, p.ARN, p.ID)
	if err != nil || !changed {
		return err
	}
	now.Policy = text
	return tx.UpdateKey(now)
}

// forgetInGrants puts it in the place of the ARN in every grant. Such a grant is no longer what a request asked for, so that
// none finds it again by its name.
func (r *Registry) forgetInGrants(ctx context.Context, p *keystore.Principal) error {
	for {
		var named []*keystore.Grant
		err := r.DB.View(ctx, func(tx keystore.Tx) (err error) {
			named, err = tx.GrantsNaming(p.ARN, atOnce)
			return err
		})
		if err != nil || len(named) == 0 {
			return err
		}
		err = r.DB.Update(ctx, func(tx keystore.Tx) error {
			for _, g := range named {
				err := tx.DeleteGrant(g.Region, g.KeyID, g.ID)
				if errors.Is(err, keystore.ErrNoRow) {
					continue // ended meanwhile
				}
				if err != nil {
					return err
				}
				if g.Grantee == p.ARN {
					g.Grantee = p.ID
				}
				if g.Retiring == p.ARN {
					g.Retiring = p.ID
				}
				g.ParametersDigest = ""
				if err := tx.InsertGrant(g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// resume finishes deletions that a stop of the appliance cut short.
func (r *Registry) resume(ctx context.Context) error {
	var all []*keystore.Principal
	err := r.DB.View(ctx, func(tx keystore.Tx) (err error) {
		all, err = tx.Principals()
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Leaving {
			if err := r.finish(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func leaving(p *keystore.Principal) error {
	return invalid("%s is being deleted; delete it again to finish that", p.ARN)
}
