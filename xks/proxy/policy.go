package proxy

import (
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/xks"
)

// Effect is what a matching rule does.
type Effect string

// The effects.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Policy is a realm's secondary authorization: KMS has authorized the call already, the proxy's owner may narrow it.
// A call is denied if a deny rule matches, or if there are allow rules and none matches. The zero value allows all.
// GetHealthStatus is never subject to it.
type Policy struct {
	Rules []Rule
	// DryRun answers as if there were no policy, and reports what would have been denied.
	DryRun bool
}

// Rule matches a call if each of its lists that is not empty has a pattern that matches. In patterns '*' stands for
// any run of characters and '?' for one. A call that does not carry a value matches no pattern for it: KMS leaves the
// VPC out for callers of other accounts, so its absence says nothing.
type Rule struct {
	Name          string // for logs: names the rule that denied
	Effect        Effect
	Principals    []string // awsPrincipalArn: ARNs, service principals, "AWS Internal"
	KMSKeys       []string // kmsKeyArn
	ViaServices   []string // kmsViaService
	KMSOperations []string // kmsOperation
	SourceVPCs    []string // awsSourceVpc
	SourceVPCEs   []string // awsSourceVpce
	Keys          []string // external key ids
	Operations    []string // operations of the proxy API: Encrypt, Decrypt, GetKeyMetadata
}

// Validate reports everything that is wrong with the policy.
func (p *Policy) Validate() error {
	var faults []error
	for i, rule := range p.Rules {
		if rule.Name == "" {
			faults = append(faults, fmt.Errorf("policy rule %d has no name", i+1))
		}
		if rule.Effect != Allow && rule.Effect != Deny {
			faults = append(faults, fmt.Errorf("policy rule %q: effect must be allow or deny", rule.Name))
		}
	}
	return errors.Join(faults...)
}

// call is what the policy looks at.
type call struct {
	op    xks.Operation
	keyID string
	meta  *xks.RequestMetadata
}

// noAllowRule stands in reports where nothing allowed the call.
const noAllowRule = "(no allow rule matches)"

// decide gives the name of the rule that denies the call, or "".
func (p *Policy) decide(c call) (deniedBy string) {
	needAllow, allowed := false, false
	for i := range p.Rules {
		rule := &p.Rules[i]
		if rule.Effect == Allow {
			needAllow = true
			allowed = allowed || rule.matches(c)
			continue
		}
		if rule.matches(c) {
			return rule.Name
		}
	}
	if needAllow && !allowed {
		return noAllowRule
	}
	return ""
}

func (r *Rule) matches(c call) bool {
	return anyMatches(r.Principals, c.meta.PrincipalARN) && anyMatches(r.KMSKeys, c.meta.KMSKeyARN) &&
		anyMatches(r.ViaServices, c.meta.ViaService) && anyMatches(r.KMSOperations, c.meta.KMSOperation) &&
		anyMatches(r.SourceVPCs, c.meta.SourceVPC) && anyMatches(r.SourceVPCEs, c.meta.SourceVPCE) &&
		anyMatches(r.Keys, c.keyID) && anyMatches(r.Operations, string(c.op))
}

func anyMatches(patterns []string, value string) bool {
	if len(patterns) == 0 {
		return true
	}
	if value == "" {
		return false
	}
	for _, pattern := range patterns {
		if glob(pattern, value) {
			return true
		}
	}
	return false
}

// glob matches with '*' and '?', in time linear in both lengths for each '*'.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
