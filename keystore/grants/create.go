package grants

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// Limits of encryption context constraints (API reference, GrantConstraints).
const (
	maxConstraintPairs = 8
	maxConstraintValue = 384
)

// CreateInput is CreateGrant's request; "" and nil are absent members.
type CreateInput struct {
	KeyID                    string
	GranteePrincipal         string
	GranteeServicePrincipal  string
	RetiringPrincipal        string
	RetiringServicePrincipal string
	Operations               []string
	EncryptionContextEquals  map[string]string
	EncryptionContextSubset  map[string]string
	SourceARN                string
	HasConstraints           bool // Constraints was sent, even if empty
	GrantTokens              []string
	Name                     string
	DryRun                   bool
}

// CreateOutput is CreateGrant's answer.
type CreateOutput struct {
	GrantID    string
	GrantToken string
}

// CreateGrant adds a grant to a key. With a Name it is idempotent: identical parameters give the id of the grant that is
// there, with a token of its own. A caller whose permission comes from a grant can only hand on what that grant covers.
func (s *Service) CreateGrant(ctx context.Context, c *keystore.Caller, in *CreateInput) (*CreateOutput, error) {
	if err := in.check(c.Account); err != nil {
		return nil, err
	}
	k, conn, err := s.key(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	g := in.grant(c, k)
	parent, err := s.authorise(ctx, c, k, g, in.GrantTokens)
	if err != nil {
		return nil, err
	}
	if err := in.fits(k); err != nil {
		return nil, err
	}
	if err := keystore.Admit(keystore.ActionCreateGrant, k, conn); err != nil {
		return nil, err
	}
	if parent != nil {
		g.ParentGrant = parent.ID
	}
	if g.ID, err = keystore.NewGrantID(s.cfg.Random); err != nil {
		return nil, err
	}
	g.Created = s.now()
	return s.store(ctx, k, conn, g, in.DryRun)
}

// store inserts the grant unless one of its name and parameters is there, whose id it answers then.
func (s *Service) store(ctx context.Context, k *keystore.Key, conn keystore.ConnState, g *keystore.Grant, dryRun bool) (*CreateOutput, error) {
	id := g.ID
	err := s.cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		// The key was admitted as it was: it may have been disabled or doomed since.
		now, err := tx.Key(k.Region, k.ID)
		if err != nil {
			return keyGone(err, k)
		}
		if err := keystore.Admit(keystore.ActionCreateGrant, now, conn); err != nil {
			return err
		}
		if err := s.principalsExist(tx, g); err != nil {
			return err
		}
		same, err := existing(tx, g)
		if err != nil {
			return err
		}
		n, err := tx.CountGrants(k.Region, k.ID)
		switch {
		case err != nil:
			return err
		case same == "" && n >= s.cfg.PerKey:
			return keystore.Faultf(keystore.KindLimitExceeded, "Key %s already has the maximum number of grants: %d.", k.ARN(), s.cfg.PerKey)
		case dryRun:
			return errDryRun
		case same != "":
			id = same
			return nil
		}
		return keyGone(tx.InsertGrant(g), k)
	})
	if err != nil {
		return nil, err
	}
	token, err := keystore.NewGrantToken(s.cfg.Random, k.ID, id)
	if err != nil {
		return nil, err
	}
	return &CreateOutput{GrantID: id, GrantToken: token}, nil
}

// existing gives the id of a grant with the same name and parameters; "" where there is none.
func existing(tx keystore.Tx, g *keystore.Grant) (string, error) {
	if g.Name == "" {
		return "", nil
	}
	named, err := tx.GrantsByName(g.Region, g.KeyID, g.Name)
	if err != nil {
		return "", err
	}
	for _, other := range named {
		if other.ParametersDigest == g.ParametersDigest {
			return other.ID, nil
		}
	}
	return "", nil
}

// authorise has the gate decide, and gives the grant that allowed it; nil where a policy did.
func (s *Service) authorise(ctx context.Context, c *keystore.Caller, k *keystore.Key, g *keystore.Grant, tokens []string) (*keystore.Grant, error) {
	r := &access.Request{Caller: c, Action: keystore.ActionCreateGrant, Key: k, GrantTokens: tokens, Now: s.cfg.Clock.Now(),
		EncryptionContext: constraintContext(g), Conditions: conditions(g),
		AcceptGrant: func(parent *keystore.Grant) bool { return access.GrantCovers(parent, g) }}
	d, err := s.cfg.Gate.Authorize(ctx, r)
	if err != nil {
		return nil, err
	}
	if !d.Allowed {
		return nil, d.Fault(r)
	}
	return d.Grant, nil
}

// constraintContext is the encryption context that condition keys show of CreateGrant and RetireGrant: that of the grant's
// constraints, for the requests themselves have none (developer guide, "kms:EncryptionContext:context-key").
func constraintContext(g *keystore.Grant) map[string]string {
	if len(g.ContextSubset) == 0 {
		return g.ContextEquals
	}
	all := maps.Clone(g.ContextSubset)
	maps.Copy(all, g.ContextEquals)
	return all
}

// conditions are the condition keys of CreateGrant (developer guide, "AWS KMS condition keys"). A member that is not in the
// request has none.
func conditions(g *keystore.Grant) map[string][]string {
	m := map[string][]string{"kms:GrantOperations": g.Operations, "kms:GrantIsForAWSResource": {"false"}}
	for key, value := range map[string]string{
		"kms:GranteePrincipal": g.Grantee, "kms:GranteeServicePrincipal": g.GranteeService,
		"kms:RetiringPrincipal": g.Retiring, "kms:RetiringServicePrincipal": g.RetiringService,
		"kms:GrantConstraintSourceArn": g.SourceARN,
	} {
		if value != "" {
			m[key] = []string{value}
		}
	}
	if len(g.ContextEquals) > 0 {
		m["kms:GrantConstraintType"] = append(m["kms:GrantConstraintType"], "EncryptionContextEquals")
	}
	if len(g.ContextSubset) > 0 {
		m["kms:GrantConstraintType"] = append(m["kms:GrantConstraintType"], "EncryptionContextSubset")
	}
	return m
}

func (in *CreateInput) grant(c *keystore.Caller, k *keystore.Key) *keystore.Grant {
	operations := slices.Compact(slices.Sorted(slices.Values(in.Operations)))
	g := &keystore.Grant{
		KeyID: k.ID, Region: k.Region, Name: in.Name,
		Grantee: in.GranteePrincipal, GranteeService: in.GranteeServicePrincipal,
		Retiring: in.RetiringPrincipal, RetiringService: in.RetiringServicePrincipal,
		Issuer: keystore.RootARN(k.Account), IssuingPrincipal: c.Principal,
		Operations: operations, ContextEquals: in.EncryptionContextEquals, ContextSubset: in.EncryptionContextSubset,
		SourceARN: in.SourceARN, HasConstraints: in.HasConstraints,
	}
	g.ParametersDigest = digest(g)
	return g
}

// digest of what makes two requests identical: JSON writes maps in the order of their keys.
func digest(g *keystore.Grant) string {
	b, err := json.Marshal([]any{g.Grantee, g.GranteeService, g.Retiring, g.RetiringService, g.Operations,
		g.ContextEquals, g.ContextSubset, g.SourceARN})
	if err != nil {
		return "" // strings and maps of strings always encode
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// check holds the request against the rules that need no key (API reference, CreateGrant).
func (in *CreateInput) check(account string) error {
	switch {
	case len(in.Operations) == 0:
		return invalid("1 validation error detected: Value '[]' at 'operations' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1")
	case (in.GranteePrincipal == "") == (in.GranteeServicePrincipal == ""):
		return invalid("You must specify either GranteePrincipal or GranteeServicePrincipal, but not both.")
	case in.RetiringPrincipal != "" && in.RetiringServicePrincipal != "":
		return invalid("You can specify either RetiringPrincipal or RetiringServicePrincipal, but not both.")
	case in.GranteeServicePrincipal != "" && in.SourceARN == "":
		return invalid("You must specify a SourceArn grant constraint with GranteeServicePrincipal.")
	case in.GranteeServicePrincipal != "" && in.RetiringPrincipal == "" && in.RetiringServicePrincipal == "":
		return invalid("You must specify either RetiringPrincipal or RetiringServicePrincipal with GranteeServicePrincipal.")
	}
	for _, arn := range []string{in.GranteePrincipal, in.RetiringPrincipal} {
		if arn != "" && !principalForm(arn, account) {
			return invalidPrincipal()
		}
	}
	for _, constraint := range []map[string]string{in.EncryptionContextEquals, in.EncryptionContextSubset} {
		if len(constraint) > maxConstraintPairs {
			return invalid("Grant constraints can have at most %d encryption context pairs.", maxConstraintPairs)
		}
		for _, v := range constraint {
			if utf8.RuneCountInString(v) > maxConstraintValue {
				return invalid("Encryption context values of grant constraints can have at most %d characters.", maxConstraintValue)
			}
		}
	}
	return nil
}

// fits holds the request against the key: operations that its type can do, and constraints only where there is an
// encryption context.
func (in *CreateInput) fits(k *keystore.Key) error {
	for _, op := range in.Operations {
		if !Grantable(k, op) {
			return invalid("Operation %s is not valid for KMS key %s with key spec %s and key usage %s.", op, k.ARN(), k.Spec, k.Usage)
		}
	}
	if len(in.EncryptionContextEquals)+len(in.EncryptionContextSubset) > 0 && k.Spec != keystore.SymmetricDefault {
		return invalid("Encryption context grant constraints are not valid for KMS key %s with key spec %s.", k.ARN(), k.Spec)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return keystore.Faultf(keystore.KindValidation, "%s", fmt.Sprintf(format, args...))
}

// invalidPrincipal is AWS's fault for a principal that does not exist or is none.
func invalidPrincipal() error {
	return keystore.Faultf(keystore.KindInvalidArn, "ARN does not refer to a valid principal")
}

// principalForm tells whether arn can name a principal: the account, or a user or role of IAM or STS. The appliance knows
// the principals of its own account only.
func principalForm(arn, account string) bool {
	if arn == account {
		return true
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] != "aws" || parts[3] != "" || parts[4] != account {
		return false
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	switch parts[2] + " " + kind {
	case "iam root":
		return name == ""
	case "iam user", "iam role", "sts assumed-role", "sts federated-user":
		return name != ""
	default:
		return false
	}
}

// principalsExist asks about users and roles. Sessions (sts) and the account itself have no row.
func (s *Service) principalsExist(tx keystore.Tx, g *keystore.Grant) error {
	if s.cfg.PrincipalExists == nil {
		return nil
	}
	for _, arn := range []string{g.Grantee, g.Retiring} {
		if !strings.HasPrefix(arn, "arn:aws:iam:") || strings.HasSuffix(arn, ":root") {
			continue
		}
		found, err := s.cfg.PrincipalExists(tx, arn)
		if err != nil {
			return err
		}
		if !found {
			return invalidPrincipal()
		}
	}
	return nil
}
