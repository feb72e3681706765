package access

import (
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// Reason is why a request is allowed or denied.
type Reason string

// The reasons.
const (
	AllowedByKeyPolicy      Reason = "allowed by the key policy"
	AllowedByIdentityPolicy Reason = "allowed by the principal's policy" // for a key: to which the key policy hands over
	AllowedByGrant          Reason = "allowed by a grant"
	AllowedToRoot           Reason = "allowed to the account root"
	DeniedByKeyPolicy       Reason = "denied by the key policy"
	DeniedByIdentityPolicy  Reason = "denied by the principal's policy"
	NotInKeyPolicy          Reason = "not allowed by the key policy"
	NotInIdentityPolicy     Reason = "not allowed by the principal's policies"
	UnreadablePolicy        Reason = "a policy cannot be read"
)

// Decision is what policies and grants say about a request, and the statements that decided.
type Decision struct {
	Allowed  bool
	Reason   Reason
	Key      *Statement      // of the key policy; nil where none took part
	Identity *Statement      // of the principal's policies: that took part, or would have if the key policy did not allow
	Policy   int             // which of Caller.Policies Identity is in, from 0
	Grant    *keystore.Grant // that allowed
	Cause    error           // with UnreadablePolicy, for the log
}

// String is for people: the reason and the statements.
func (d *Decision) String() string {
	s := string(d.Reason)
	if d.Key != nil {
		s += "; key policy, " + d.Key.String()
	}
	if d.Identity != nil {
		s += fmt.Sprintf("; policy %d of the principal, %s", d.Policy+1, d.Identity)
	}
	if d.Grant != nil {
		s += "; grant " + d.Grant.ID
	}
	return s
}

// String names a statement by its number and Sid.
func (s *Statement) String() string {
	if s.Sid == "" {
		return fmt.Sprintf("statement %d", s.Index)
	}
	return fmt.Sprintf("statement %d %q", s.Index, s.Sid)
}

// endings are the ends of AWS's text by reason (IAM user guide, "Troubleshoot access denied error messages").
var endings = map[Reason]string{
	DeniedByKeyPolicy:      " with an explicit deny in a resource-based policy",
	DeniedByIdentityPolicy: " with an explicit deny in an identity-based policy",
	NotInKeyPolicy:         " because no resource-based policy allows the %s action",
	NotInIdentityPolicy:    " because no identity-based policy allows the %s action",
}

// Fault is AWS's AccessDeniedException for a denied request.
func (d *Decision) Fault(r *Request) *keystore.Fault {
	p := permissionOf(r)
	text := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", r.Caller.Principal, p.name, r.resource())
	switch d.Reason {
	case NotInKeyPolicy, NotInIdentityPolicy:
		text += fmt.Sprintf(endings[d.Reason], p.name)
	default:
		text += endings[d.Reason]
	}
	return &keystore.Fault{Kind: keystore.KindAccessDenied, Text: text, Cause: d.Cause}
}
