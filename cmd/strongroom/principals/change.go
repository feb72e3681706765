package principals

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// nameForm is IAM's form of user and role names (IAM API reference, CreateUser.UserName).
var nameForm = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)

// NewKey is an access key whose secret is in the clear: the only time that it is shown.
type NewKey struct {
	AccessKeyID, Secret string
}

// View is a principal with its access keys, for people.
type View struct {
	*keystore.Principal
	Keys []*keystore.Credential
}

// Create makes a principal with one access key. The account root is made by kind PrincipalRoot, once, under the name
// "root".
func (r *Registry) Create(ctx context.Context, kind keystore.PrincipalKind, name string, policies []keystore.NamedPolicy) (*View, NewKey, error) {
	p := &keystore.Principal{Kind: kind, Name: name, Created: r.Clock.Now(), Policies: policies}
	switch kind {
	case keystore.PrincipalRoot:
		p.ARN, p.Name = keystore.RootARN(r.Account), "root"
	case keystore.PrincipalUser, keystore.PrincipalRole:
		if !nameForm.MatchString(name) || name == "root" {
			return nil, NewKey{}, invalid("%q is no name for a principal; use up to 64 letters, digits and _+=,.@-", name)
		}
		p.ARN = "arn:aws:iam::" + r.Account + ":" + string(kind) + "/" + name
	default:
		return nil, NewKey{}, invalid("%q is no kind of principal; say user or role", kind)
	}
	for _, pol := range policies {
		if err := r.checkPolicy(pol); err != nil {
			return nil, NewKey{}, err
		}
	}
	if kind != keystore.PrincipalRoot {
		var err error
		if p.ID, err = newID(r.Random, kind); err != nil {
			return nil, NewKey{}, err
		}
	}
	key, cred, err := r.newKey(ctx, p)
	if err != nil {
		return nil, NewKey{}, err
	}
	err = r.update(ctx, func(tx keystore.Tx) error {
		if err := tx.InsertPrincipal(p); err != nil {
			return err
		}
		return tx.InsertCredential(cred)
	})
	if errors.Is(err, keystore.ErrExists) {
		return nil, NewKey{}, invalid("there is a principal %s already", p.ARN)
	}
	return &View{p, []*keystore.Credential{cred}}, key, err
}

// newKey makes an access key in the form of AWS's: AKIA and 16 of A-Z, 2-7; a secret of 40 base64 characters.
func (r *Registry) newKey(ctx context.Context, p *keystore.Principal) (NewKey, *keystore.Credential, error) {
	var b [40]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return NewKey{}, nil, fmt.Errorf("make an access key: %w", err)
	}
	key := NewKey{
		AccessKeyID: "AKIA" + base32.StdEncoding.EncodeToString(b[:10]),
		Secret:      base64.StdEncoding.EncodeToString(b[10:]),
	}
	sealed, err := r.Vault.Seal(ctx, purpose(key.AccessKeyID), []byte(key.Secret))
	if err != nil {
		return NewKey{}, nil, fmt.Errorf("seal an access key: %w", err)
	}
	return key, &keystore.Credential{AccessKeyID: key.AccessKeyID, PrincipalARN: p.ARN, SealedSecret: sealed, Created: p.Created}, nil
}

// List gives every principal, by ARN.
func (r *Registry) List(ctx context.Context) ([]*View, error) {
	var out []*View
	err := r.DB.View(ctx, func(tx keystore.Tx) error {
		all, err := tx.Principals()
		for _, p := range all {
			creds, cerr := tx.Credentials(p.ARN)
			err = errors.Join(err, cerr)
			out = append(out, &View{p, creds})
		}
		return err
	})
	slices.SortFunc(out, func(a, b *View) int { return strings.Compare(a.ARN, b.ARN) })
	return out, err
}

// Show gives one principal by name or ARN.
func (r *Registry) Show(ctx context.Context, name string) (*View, error) {
	var v *View
	err := r.DB.View(ctx, func(tx keystore.Tx) error {
		p, err := r.find(tx, name)
		if err != nil {
			return err
		}
		creds, err := tx.Credentials(p.ARN)
		v = &View{p, creds}
		return err
	})
	return v, err
}

// SetDisabled refuses or accepts all access keys of a principal from now on.
func (r *Registry) SetDisabled(ctx context.Context, name string, disabled bool) (*View, error) {
	return r.change(ctx, name, func(p *keystore.Principal) error {
		p.Disabled = disabled
		return nil
	})
}

// Attach adds a policy to a principal, or replaces the one of the same name.
func (r *Registry) Attach(ctx context.Context, name string, policy keystore.NamedPolicy) (*View, error) {
	if err := r.checkPolicy(policy); err != nil {
		return nil, err
	}
	return r.change(ctx, name, func(p *keystore.Principal) error {
		p.Policies = slices.DeleteFunc(p.Policies, func(q keystore.NamedPolicy) bool { return q.Name == policy.Name })
		p.Policies = append(p.Policies, policy)
		slices.SortFunc(p.Policies, func(a, b keystore.NamedPolicy) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
}

// Detach takes a policy from a principal.
func (r *Registry) Detach(ctx context.Context, name, policy string) (*View, error) {
	return r.change(ctx, name, func(p *keystore.Principal) error {
		before := len(p.Policies)
		p.Policies = slices.DeleteFunc(p.Policies, func(q keystore.NamedPolicy) bool { return q.Name == policy })
		if len(p.Policies) == before {
			return unknown("%s has no policy %q", p.ARN, policy)
		}
		return nil
	})
}

func (r *Registry) change(ctx context.Context, name string, fn func(*keystore.Principal) error) (*View, error) {
	var v *View
	err := r.update(ctx, func(tx keystore.Tx) error {
		p, err := r.find(tx, name)
		if err != nil {
			return err
		}
		if p.Leaving {
			return leaving(p)
		}
		if err := fn(p); err != nil {
			return err
		}
		if err := tx.UpdatePrincipal(p); err != nil {
			return err
		}
		creds, err := tx.Credentials(p.ARN)
		v = &View{p, creds}
		return err
	})
	return v, err
}

// find takes an ARN, "root", "user/NAME", "role/NAME" or a bare name that only one principal has.
func (r *Registry) find(tx keystore.Tx, name string) (*keystore.Principal, error) {
	all, err := tx.Principals()
	if err != nil {
		return nil, err
	}
	var found []*keystore.Principal
	for _, p := range all {
		if p.ARN == name || p.Name == name || string(p.Kind)+"/"+p.Name == name {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, unknown("there is no principal %q; see strongroom principals list", name)
	}
	return nil, invalid("%q is a user and a role; say user/%s or role/%s", name, name, name)
}

func (r *Registry) checkPolicy(p keystore.NamedPolicy) error {
	if !nameForm.MatchString(p.Name) {
		return invalid("%q is no name for a policy; use up to 64 letters, digits and _+=,.@-", p.Name)
	}
	if err := r.CheckPolicy(p.Document); err != nil {
		return invalid("policy %s: %v", p.Name, err)
	}
	return nil
}

// ErrInvalid marks what the caller asked for wrongly.
var ErrInvalid = errors.New("refused")

// marked is an error of a kind whose text is only its own.
type marked struct {
	kind error
	text string
}

func (m *marked) Error() string { return m.text }
func (m *marked) Unwrap() error { return m.kind }

func invalid(format string, args ...any) error {
	return &marked{ErrInvalid, fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) error {
	return &marked{ErrUnknown, fmt.Sprintf(format, args...)}
}
