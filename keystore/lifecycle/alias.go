package lifecycle

import (
	"context"
	"errors"
	"strings"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

const (
	aliasPrefix         = "alias/"
	reservedAliasPrefix = "alias/aws/"
	maxAliasName        = 256
)

// checkAliasName holds a name against the rules of key-lifecycle.md section 11, which all three changes share.
func checkAliasName(name string) error {
	switch {
	case !strings.HasPrefix(name, aliasPrefix):
		return keystore.Faultf(keystore.KindValidation, `Alias must start with the prefix "alias/". Please see `+
			"https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	case strings.HasPrefix(name, reservedAliasPrefix):
		return &keystore.Fault{Kind: keystore.KindNotAuthorized}
	case len(name) > maxAliasName:
		return invalid(name, "aliasName", "Member must have length less than or equal to 256")
	case len(name) == len(aliasPrefix) || strings.ContainsFunc(name, notInAlias):
		return keystore.Faultf(keystore.KindValidation, "%s contains invalid characters for an alias", name)
	}
	return nil
}

func notInAlias(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '/' && r != '_' && r != '-'
}

// mayAlias authorises an action on the alias itself; the key's permission is asked apart.
func (s *Service) mayAlias(ctx context.Context, c *keystore.Caller, a keystore.Action, name string) error {
	return s.admit(ctx, &access.Request{Caller: c, Action: a, Resource: keystore.AliasARN(c.Region, c.Account, name)})
}

// aliasTarget resolves the key that an alias shall name.
func (s *Service) aliasTarget(ctx context.Context, c *keystore.Caller, target string, a keystore.Action) (*keystore.Key, error) {
	if strings.HasPrefix(target, aliasPrefix) {
		return nil, keystore.Faultf(keystore.KindValidation, "Aliases must refer to keys. Not aliases")
	}
	return s.find(ctx, c, target, keystore.RefKeyOnly, a)
}

// CreateAlias gives a key a name.
func (s *Service) CreateAlias(ctx context.Context, c *keystore.Caller, name, target string) error {
	const a = keystore.ActionCreateAlias
	if err := checkAliasName(name); err != nil {
		return err
	}
	k, err := s.aliasTarget(ctx, c, target, a)
	if err != nil {
		return err
	}
	if err := s.mayAlias(ctx, c, a, name); err != nil {
		return err
	}
	taken := keystore.Faultf(keystore.KindAlreadyExists, "An alias with the name %s already exists",
		keystore.AliasARN(c.Region, c.Account, name))
	return s.update(ctx, func(tx keystore.Tx) error {
		if _, err := tx.Alias(c.Region, name); !errors.Is(err, keystore.ErrNoRow) {
			if err == nil {
				return taken
			}
			return err
		}
		if err := s.roomForAlias(tx, k, a); err != nil {
			return err
		}
		now := s.now()
		err := tx.InsertAlias(&keystore.Alias{Name: name, Account: c.Account, Region: c.Region, Target: k.ID, Created: now, Updated: now})
		if errors.Is(err, keystore.ErrExists) {
			return taken
		}
		return err
	})
}

// roomForAlias admits a key, as it is now, as the target of one more alias.
func (s *Service) roomForAlias(tx keystore.Tx, k *keystore.Key, a keystore.Action) error {
	now, err := tx.Key(k.Region, k.ID)
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.NoSuchKey(k.Region, k.Account, k.ID)
	}
	if err != nil {
		return err
	}
	if err := keystore.Admit(a, now, s.conn(now)); err != nil {
		return err
	}
	n, err := tx.CountAliases(k.Region, k.ID)
	if err == nil && n >= s.cfg.Limits.Aliases {
		return keystore.Faultf(keystore.KindLimitExceeded, "The quota of %d aliases has been reached for key %s.", s.cfg.Limits.Aliases, k.ARN())
	}
	return err
}

// UpdateAlias points a name at another key of the same type and usage. The key that it leaves may be in any state.
func (s *Service) UpdateAlias(ctx context.Context, c *keystore.Caller, name, target string) error {
	const a = keystore.ActionUpdateAlias
	if err := checkAliasName(name); err != nil {
		return err
	}
	k, err := s.aliasTarget(ctx, c, target, a)
	if err != nil {
		return err
	}
	if err := s.mayAlias(ctx, c, a, name); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := s.moveAlias(ctx, c, name, k)
		if !errors.Is(err, errMoved) || try == maxTries {
			return err
		}
	}
}

// errMoved: somebody else pointed the alias elsewhere while it was being moved.
var errMoved = errors.New("the alias was moved meanwhile")

// moveAlias points an alias at k, if the key that it leaves allows that.
func (s *Service) moveAlias(ctx context.Context, c *keystore.Caller, name string, k *keystore.Key) error {
	const a = keystore.ActionUpdateAlias
	old, err := s.aliasedKey(ctx, c, name)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: a, Key: old, NoStateCheck: true}); err != nil {
		return err
	}
	if err := sameType(c, name, old, k); err != nil {
		return err
	}
	return s.update(ctx, func(tx keystore.Tx) error {
		row, err := tx.Alias(c.Region, name)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchAlias(c.Region, c.Account, name)
		}
		if err != nil {
			return err
		}
		if row.Target != old.ID {
			return errMoved
		}
		if row.Target != k.ID {
			if err := s.roomForAlias(tx, k, a); err != nil {
				return err
			}
		}
		row.Target, row.Updated = k.ID, s.now()
		return tx.UpdateAlias(row)
	})
}

// aliasedKey gives the key that a name points at now.
func (s *Service) aliasedKey(ctx context.Context, c *keystore.Caller, name string) (*keystore.Key, error) {
	return keystore.ResolveKey(ctx, s.cfg.DB, c, name, keystore.RefKeyOrAlias)
}

// sameType refuses to move an alias between keys that serve different programs.
func sameType(c *keystore.Caller, name string, from, to *keystore.Key) error {
	arn := keystore.AliasARN(c.Region, c.Account, name)
	if from.Usage != to.Usage {
		return keystore.Faultf(keystore.KindValidation, "Alias %s cannot be changed from a CMK with key usage %s to a CMK with key usage %s",
			arn, from.Usage, to.Usage)
	}
	a, okA := keystore.LookupSpec(from.Spec)
	b, okB := keystore.LookupSpec(to.Spec)
	if !okA || !okB || a.KeyType() != b.KeyType() {
		return keystore.Faultf(keystore.KindValidation, "Alias %s cannot be changed from a CMK with key spec %s to a CMK with key spec %s",
			arn, from.Spec, to.Spec)
	}
	return nil
}

// DeleteAlias removes a name. It works whatever the key's state.
func (s *Service) DeleteAlias(ctx context.Context, c *keystore.Caller, name string) error {
	if err := checkAliasName(name); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := s.dropAlias(ctx, c, name)
		if !errors.Is(err, errMoved) || try == maxTries {
			return err
		}
	}
}

// dropAlias removes an alias from the key that it names now, on which the permission is needed.
func (s *Service) dropAlias(ctx context.Context, c *keystore.Caller, name string) error {
	const a = keystore.ActionDeleteAlias
	k, err := s.aliasedKey(ctx, c, name)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k}); err != nil {
		return err
	}
	if err := s.mayAlias(ctx, c, a, name); err != nil {
		return err
	}
	return s.update(ctx, func(tx keystore.Tx) error {
		row, err := tx.Alias(c.Region, name)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchAlias(c.Region, c.Account, name)
		}
		if err != nil {
			return err
		}
		if row.Target != k.ID {
			return errMoved
		}
		return tx.DeleteAlias(c.Region, name)
	})
}

// ListAliases lists the Region's aliases by name, those of one key where keyID is not "".
func (s *Service) ListAliases(ctx context.Context, c *keystore.Caller, keyID string, p keystore.Page) ([]*keystore.Alias, string, error) {
	r := access.Request{Caller: c, Action: keystore.ActionListAliases, Resource: "*"}
	var target keystore.KeyID
	if keyID != "" {
		k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
		if err != nil {
			return nil, "", err
		}
		target, r.Key, r.Resource = k.ID, k, ""
	}
	list := "aliases/" + string(target)
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	if err := s.admit(ctx, &r); err != nil {
		return nil, "", err
	}
	var found []*keystore.Alias
	limit := limitOf(p, pageAliases)
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		found, err = tx.Aliases(c.Region, target, after, limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next := cut(list, found, limit, func(a *keystore.Alias) string { return a.Name })
	return found, next, nil
}
