package access

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// MaxKeyPolicy is the size limit of a key policy in bytes (API reference, PutKeyPolicy.Policy).
const MaxKeyPolicy = 32768

// The texts of MalformedPolicyDocumentException that AWS is known to send (api-errors.md section 6).
const (
	textBadPrincipal = "Policy contains a statement with one or more invalid principals."
	textLockout      = "The new key policy will not allow you to update the key policy in the future."
)

// Lockout is AWS's fault for a key policy that fails the lock-out check.
func Lockout() *keystore.Fault {
	return keystore.Faultf(keystore.KindMalformedPolicyDocument, "%s", textLockout)
}

// InvalidPrincipals is AWS's fault for a policy that names somebody who does not exist.
func InvalidPrincipals() *keystore.Fault { return malformed("%s", textBadPrincipal) }

// ValidatePolicy checks a key policy and compiles it: size, characters, the policy language, and that its principals exist.
// principalExists is asked for users and roles and for the roots of other accounts, by ARN; nil takes every one. Faults are
// LimitExceeded for the size and MalformedPolicyDocument for the rest.
func ValidatePolicy(text string, account string, principalExists func(arn string) bool) (*Policy, error) {
	if len(text) > MaxKeyPolicy {
		return nil, keystore.Faultf(keystore.KindLimitExceeded, "The key policy is %d bytes long. The limit is %d bytes.", len(text), MaxKeyPolicy)
	}
	if i := strings.IndexFunc(text, notAllowed); i >= 0 {
		return nil, malformed("Policy contains a character that is not allowed, at byte %d.", i)
	}
	p, err := Parse(text)
	if err != nil {
		return nil, malformed("Syntax errors in policy: %s.", err).Because(err)
	}
	for _, s := range p.Statements {
		if len(s.principals) == 0 {
			return nil, malformed("Syntax errors in policy: statement %d: Principal is missing.", s.Index)
		}
		for i := range s.principals {
			if err := s.principals[i].check(account, principalExists); err != nil {
				return nil, InvalidPrincipals().Because(fmt.Errorf("%s: %w", s, err))
			}
		}
	}
	return p, nil
}

// ValidateIdentityPolicy checks a policy that is to be attached to a principal: the policy language, and that it names no
// principal. Faults are as ValidatePolicy's.
func ValidateIdentityPolicy(text string) (*Policy, error) {
	if len(text) > MaxKeyPolicy {
		return nil, keystore.Faultf(keystore.KindLimitExceeded, "The policy is %d bytes long. The limit is %d bytes.", len(text), MaxKeyPolicy)
	}
	p, err := Parse(text)
	if err != nil {
		return nil, malformed("Syntax errors in policy: %s.", err).Because(err)
	}
	for _, s := range p.Statements {
		switch {
		case s.hasPrincipal:
			return nil, malformed("Syntax errors in policy: statement %d: a principal's own policy has no Principal.", s.Index)
		case s.inert:
			return nil, malformed("Syntax errors in policy: statement %d: Action or Resource is missing.", s.Index)
		}
	}
	return p, nil
}

func malformed(format string, args ...any) *keystore.Fault {
	return keystore.Faultf(keystore.KindMalformedPolicyDocument, format, args...)
}

// notAllowed: a key policy may hold tab, line feed, carriage return and U+0020 to U+00FF (API reference, PutKeyPolicy.Policy).
func notAllowed(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && (r < 0x20 || r > 0xff)
}

// check tells what is wrong with a principal; nil where it exists.
func (p *principal) check(account string, exists func(arn string) bool) error {
	switch p.kind {
	case everyone:
		return nil
	case accountPrincipal:
		if p.text == account || exists == nil || exists(keystore.RootARN(p.text)) {
			return nil
		}
	case namedPrincipal:
		if !wellFormed(p.text) {
			return fmt.Errorf("%q is not the ARN of a user or role", p.text)
		}
		if exists == nil || exists(p.text) {
			return nil
		}
	case servicePrincipal:
		if isService(p.text) {
			return nil
		}
	default:
		if p.text != "" {
			return nil
		}
	}
	return fmt.Errorf("principal %q does not exist", p.text)
}

// wellFormed: users, roles and sessions of roles, without wildcards.
func wellFormed(arn string) bool {
	parts := strings.SplitN(arn, ":", arnParts)
	if len(parts) < arnParts || parts[0] != "arn" || parts[1] != "aws" || parts[3] != "" || !isAccountID(parts[4]) ||
		strings.ContainsAny(arn, "*? ") {
		return false
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	switch parts[2] {
	case "iam":
		return (kind == "user" || kind == "role") && name != ""
	case "sts":
		return (kind == "assumed-role" || kind == "federated-user") && name != ""
	default:
		return false
	}
}

// isService takes names as "logs.us-east-1.amazonaws.com".
func isService(name string) bool {
	rest, found := strings.CutSuffix(name, ".amazonaws.com")
	if !found || rest == "" {
		return false
	}
	return strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// further are the condition keys that the PutKeyPolicy of the lock-out check brings: it is one that asks for that check.
var further = map[string][]string{"kms:BypassPolicyLockoutSafetyCheck": {"false"}}

// AllowsPutKeyPolicy is the lock-out check: whether the caller could replace policy p, once it is key k's, by PutKeyPolicy.
// Conditions are asked about this request and about the key as it is, or as it will be made. A policy that hands PutKeyPolicy
// over to the caller's account passes, since the account's administrator can always give the permission; one that denies it to
// the caller does not. An error means that there is no answer: the key's aliases, which the policy asks for, cannot be listed.
func (g *Gate) AllowsPutKeyPolicy(ctx context.Context, c *keystore.Caller, k *keystore.Key, p *Policy) (bool, error) {
	var e evaluation
	e.begin(ctx, &Request{Caller: c, Action: keystore.ActionPutKeyPolicy, Key: k, Conditions: further}, g.cfg.Aliases)
	f := p.asKeyPolicy(&e)
	return f.deny == nil && (f.allow != nil || f.account != nil), e.err
}
