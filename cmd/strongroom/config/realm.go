package config

import (
	"fmt"
	"slices"

	"github.com/strongroom/strongroom/xks"
)

// Policy is a realm's secondary authorization, on what KMS tells of its caller. A call is refused if a deny rule matches,
// or if there are allow rules and none matches. Health checks are never refused.
type Policy struct {
	DryRun bool   `yaml:"dry_run"` // refuse nothing, and log what would have been refused
	Rules  []Rule `yaml:"rules"`
}

// Rule matches a call if each of its lists that is not empty has a pattern that matches; * stands for any characters, ?
// for one.
type Rule struct {
	Name          string   `yaml:"name"`           // in the log of a refusal
	Effect        string   `yaml:"effect"`         // allow or deny
	Principals    []string `yaml:"principals"`     // awsPrincipalArn
	KMSKeys       []string `yaml:"kms_keys"`       // kmsKeyArn
	ViaServices   []string `yaml:"via_services"`   // kmsViaService
	KMSOperations []string `yaml:"kms_operations"` // kmsOperation
	SourceVPCs    []string `yaml:"source_vpcs"`    // awsSourceVpc
	SourceVPCEs   []string `yaml:"source_vpces"`   // awsSourceVpce
	Keys          []string `yaml:"keys"`           // external key ids
	Operations    []string `yaml:"operations"`     // Encrypt, Decrypt, GetKeyMetadata
}

// Realm gives the realm of that name, nil where there is none.
func (c *Config) Realm(name string) *Realm {
	for i := range c.XKS.Realms {
		if r := &c.XKS.Realms[i]; r.Name == name {
			return r
		}
	}
	return nil
}

// maxCredentials is how many credentials a realm may have: one, and a second while KMS changes over.
const maxCredentials = 2

// realms checks the realms of the XKS proxy.
func (v *checker) realms() {
	x := v.c.XKS
	if len(x.Realms) > 0 && x.Listen == "" {
		v.fail("xks.listen", "is missing; the realms need an address")
	}
	prefixes, names, addressing := map[string]bool{}, map[string]bool{}, map[string]string{}
	for i := range x.Realms {
		r := &x.Realms[i]
		field := fmt.Sprintf("xks.realms[%d]", i)
		switch {
		case r.PathPrefix != "" && !prefixForm.MatchString(r.PathPrefix):
			v.fail(field+".path_prefix", "%q is no prefix; write it like /name", r.PathPrefix)
		case prefixes[r.PathPrefix]:
			v.fail(field+".path_prefix", "%q is the prefix of an earlier realm", r.PathPrefix)
		case xks.CheckURIPath(r.PathPrefix+xks.BasePath) != nil:
			v.fail(field+".path_prefix", "%q is longer than AWS allows, %d characters", r.PathPrefix, xks.MaxURIPath-len(xks.BasePath))
		}
		prefixes[r.PathPrefix] = true
		if names[r.Name] {
			v.fail(field+".name", "%s is the name of an earlier realm", r.Name)
		}
		names[r.Name] = true
		v.realmKeys(field, r, addressing)
		v.realmCredentials(field, r)
		v.realmAccess(field, r)
	}
}

// realmKeys checks where a realm's keys are. addressing is what earlier realms said of their tokens: keys on one token
// have one set of settings, under one kind of id.
func (v *checker) realmKeys(field string, r *Realm, addressing map[string]string) {
	switch t := v.c.Token(r.Token); {
	case t == nil:
		v.fail(field+".token", "there is no token named %q under tokens", r.Token)
	case t.PIN == "":
		v.fail(field+".token", "token %s has no pin; add one under tokens", r.Token)
	case v.isDefault(r.Token), v.isCluster(r.Token):
		v.fail(field+".token", "token %s holds KMS keys already; give external keys a token of their own", r.Token)
	}
	how := r.Addressing
	if how == "" {
		how = "label"
	}
	if how != "label" && how != "id" {
		v.fail(field+".addressing", "%q is neither label nor id", r.Addressing)
	} else if before, known := addressing[r.Token]; known && before != how {
		v.fail(field+".addressing", "an earlier realm addresses keys on token %s by %s; use one way for a token", r.Token, before)
	}
	addressing[r.Token] = how
	if len(r.Keys) == 0 && !r.AllKeys {
		v.fail(field+".keys", "is empty; list external key ids, or say all_keys: true")
	}
	for j, id := range r.Keys {
		if xks.CheckKeyID(id) != nil {
			v.fail(fmt.Sprintf("%s.keys[%d]", field, j), "%q is no external key id; use 1 to %d letters, digits, dots, dashes and underscores", id, xks.MaxKeyID)
		}
	}
}

func (v *checker) realmCredentials(field string, r *Realm) {
	if n := len(r.Credentials); n > maxCredentials {
		v.fail(field+".credentials", "has %d; give one, or two while they are changed", n)
	}
	for j, cr := range r.Credentials {
		at := fmt.Sprintf("%s.credentials[%d]", field, j)
		if xks.CheckAccessKeyID(cr.AccessKeyID) != nil {
			v.fail(at+".access_key_id", "%q does not have AWS's form: 20 to 30 of the letters A-Z and the digits 2-7", cr.AccessKeyID)
		}
		if err := cr.Secret.Validate(); err != nil {
			v.fail(at+".secret", "%v", err)
		}
	}
}

// realmAccess checks from where, how often and for whom a realm may be called.
func (v *checker) realmAccess(field string, r *Realm) {
	if r.Quota < 0 {
		v.fail(field+".quota", "%d is less than nothing", r.Quota)
	}
	for j, region := range r.Regions {
		if !regionForm.MatchString(region) {
			v.fail(fmt.Sprintf("%s.regions[%d]", field, j), "%q does not have the form of a Region, such as us-east-1", region)
		}
	}
	for j, rule := range r.Policy.Rules {
		at := fmt.Sprintf("%s.policy.rules[%d]", field, j)
		if rule.Name == "" {
			v.fail(at+".name", "is missing; the log names the rule that refused a call")
		}
		if rule.Effect != "allow" && rule.Effect != "deny" {
			v.fail(at+".effect", "%q is neither allow nor deny", rule.Effect)
		}
		for _, op := range rule.Operations {
			if !slices.Contains([]string{string(xks.OpEncrypt), string(xks.OpDecrypt), string(xks.OpMetadata)}, op) {
				v.fail(at+".operations", "%q is none of Encrypt, Decrypt, GetKeyMetadata", op)
			}
		}
	}
}
