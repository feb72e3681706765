package lifecycle

import (
	"context"
	"errors"
	"strconv"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// policyName is the one policy that a key has.
const policyName = "default"

// checkPolicy validates a policy for key k and makes sure that the caller can still change it, unless that check is bypassed.
// A text of "" is the default policy. It gives the text to store.
func (s *Service) checkPolicy(ctx context.Context, c *keystore.Caller, k *keystore.Key, text string, bypass bool) (string, error) {
	if text == "" {
		return access.DefaultPolicy(c.Account), nil
	}
	var viewErr error
	p, err := access.ValidatePolicy(text, c.Account, func(arn string) bool {
		exists, err := s.principalExists(ctx, c, arn)
		viewErr = errors.Join(viewErr, err)
		return exists
	})
	if viewErr != nil {
		return "", viewErr
	}
	if err != nil {
		return "", err
	}
	if bypass {
		return text, nil
	}
	may, err := s.cfg.Gate.AllowsPutKeyPolicy(ctx, c, k, p)
	if err == nil && !may {
		err = access.Lockout()
	}
	if err != nil {
		return "", err
	}
	return text, nil
}

func (s *Service) principalExists(ctx context.Context, c *keystore.Caller, arn string) (bool, error) {
	if arn == c.Principal || arn == keystore.RootARN(c.Account) {
		return true, nil
	}
	exists := false
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		exists, err = principalStands(tx, arn)
		return err
	})
	return exists, err
}

// principalStands tells whether there is a principal that is not being deleted.
func principalStands(tx keystore.Tx, arn string) (bool, error) {
	p, err := tx.Principal(arn)
	if errors.Is(err, keystore.ErrNoRow) {
		return false, nil
	}
	return err == nil && !p.Leaving, err
}

// namesStand makes sure, in the transaction that stores a policy, that those whom it names are there still: a principal that
// is made later under the ARN of one that was deleted is another one.
func namesStand(tx keystore.Tx, c *keystore.Caller, policy string) error {
	p, err := access.Parse(policy)
	if err != nil {
		return err
	}
	for _, arn := range p.NamedPrincipals() {
		stands, err := principalStands(tx, arn)
		if err != nil {
			return err
		}
		if !stands && arn != c.Principal {
			return access.InvalidPrincipals()
		}
	}
	return nil
}

// GetKeyPolicy gives the text and the name of a key's policy. name "" is "default".
func (s *Service) GetKeyPolicy(ctx context.Context, c *keystore.Caller, keyID, name string) (text, policy string, err error) {
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, keystore.ActionGetKeyPolicy)
	if err != nil {
		return "", "", err
	}
	if name != "" && name != policyName {
		return "", "", keystore.Faultf(keystore.KindNotFound, "No such policy exists")
	}
	return k.Policy, policyName, nil
}

// PutKeyPolicy replaces a key's policy.
func (s *Service) PutKeyPolicy(ctx context.Context, c *keystore.Caller, in *PutKeyPolicyInput) error {
	const a = keystore.ActionPutKeyPolicy
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, in.KeyID, keystore.RefKeyOnly)
	if err != nil {
		return err
	}
	err = s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: map[string][]string{
		"kms:BypassPolicyLockoutSafetyCheck": {strconv.FormatBool(in.BypassPolicyLockoutSafetyCheck)},
	}})
	if err != nil {
		return err
	}
	if in.PolicyName != "" && in.PolicyName != policyName {
		return keystore.Faultf(keystore.KindUnsupportedOperation, "Only default policy is supported")
	}
	if in.Policy == "" {
		return keystore.Faultf(keystore.KindValidation,
			"1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	text, err := s.checkPolicy(ctx, c, k, in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, a, func(tx keystore.Tx, k *keystore.Key) error {
		if k.Policy == text {
			return errUnchanged
		}
		k.Policy = text
		return namesStand(tx, c, text)
	})
	return err
}

// ListKeyPolicies lists the names of a key's policies: always one.
func (s *Service) ListKeyPolicies(ctx context.Context, c *keystore.Caller, keyID string, p keystore.Page) ([]string, string, error) {
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, keystore.ActionListKeyPolicies)
	if err != nil {
		return nil, "", err
	}
	list := "policies/" + string(k.ID)
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	if after >= policyName {
		return []string{}, "", nil
	}
	names, next := cut(list, []string{policyName}, limitOf(p, pagePolicies), func(n string) string { return n })
	return names, next, nil
}
