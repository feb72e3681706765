package keystore

import "time"

// Caller is who makes a request, as the front door established it, and the request's frame.
type Caller struct {
	Account     string
	Region      string // of the credential scope: the Region that the request is for
	Principal   string // ARN: arn:aws:iam::ACCOUNT:root, …:user/NAME or …:role/NAME
	PrincipalID string // Principal.ID; "" for the root
	AccessKeyID string
	Root        bool
	Policies    []string // JSON texts of the principal's attached policies

	RequestID string
	SourceIP  string
	UserAgent string
	Secure    bool // over TLS
	Time      time.Time
}

// PrincipalKind is what a principal is.
type PrincipalKind string

// Kinds of principal.
const (
	PrincipalRoot PrincipalKind = "root"
	PrincipalUser PrincipalKind = "user"
	PrincipalRole PrincipalKind = "role"
)

// Principal is a user, a (static) role or the account root of the appliance.
type Principal struct {
	ARN  string
	Kind PrincipalKind
	Name string
	// ID is the unique id ("AIDA…" of a user, "AROA…" of a role), which no other principal ever has, also none of the same
	// ARN. It takes the ARN's place in key policies and grants when the principal is deleted (IAM user guide, "IAM
	// identifiers"). "" for the root, and for principals of before there were ids.
	ID       string
	Disabled bool
	// Leaving: its deletion has begun. It can't sign, nothing new may name it, and it only waits for what names it to forget it.
	Leaving  bool
	Created  time.Time
	Policies []NamedPolicy // attached, by name
	Revision int64
}

// NamedPolicy is a policy document attached to a principal.
type NamedPolicy struct {
	Name     string `json:"name"`
	Document string `json:"document"`
}

// Credential is an access key of a principal. The secret is sealed by the appliance's token.
type Credential struct {
	AccessKeyID  string
	PrincipalARN string
	SealedSecret []byte
	Disabled     bool
	Created      time.Time
}
