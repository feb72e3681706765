package admin

import "github.com/strongroom/strongroom/keystore/access"

// Paths of questions about access.
const (
	PathExplain = "/v1/access/explain"
	PathWho     = "/v1/access/who"
)

// AccessQuestion asks whether a request would be allowed. It changes nothing and is no request itself.
type AccessQuestion struct {
	Principal         string              `json:"principal"`          // ARN, or name as `principals show` takes it
	Action            string              `json:"action"`             // "Encrypt", "kms:Encrypt"
	Key               string              `json:"key"`                // id, ARN, alias name or alias ARN; "" for actions without a key
	Region            string              `json:"region"`             // "": that of the key's ARN, or the first Region
	EncryptionContext map[string]string   `json:"encryption_context"` // of the request
	GrantTokens       []string            `json:"grant_tokens"`
	SourceIP          string              `json:"source_ip"`  // "": aws:SourceIp is not in the request
	Conditions        map[string][]string `json:"conditions"` // further condition keys of the request
}

// AccessAnswer is a decision with all that was looked at.
type AccessAnswer struct {
	Principal  string         `json:"principal"`
	Disabled   bool           `json:"principal_disabled"` // then requests are refused before any policy is asked
	Permission string         `json:"permission"`
	Resource   string         `json:"resource"`
	Allowed    bool           `json:"allowed"` // by policies and grants
	Verdict    access.Verdict `json:"verdict"` // of requests that differ in what conditions ask about
	Reason     string         `json:"reason"`
	Exception  string         `json:"exception,omitempty"` // what the caller is answered, where the request fails
	Message    string         `json:"message,omitempty"`
	Steps      []access.Step  `json:"steps"`
}

// WhoQuestion asks who may do what on a key.
type WhoQuestion struct {
	Key     string   `json:"key"`
	Region  string   `json:"region"`
	Actions []string `json:"actions"` // none: all that the key can do
}

// WhoAnswer is every principal's permissions on a key.
type WhoAnswer struct {
	Key        string     `json:"key"`
	Principals []WhoEntry `json:"principals"`
}

// WhoEntry is what one principal may do.
type WhoEntry struct {
	Principal   string       `json:"principal"`
	Disabled    bool         `json:"principal_disabled"`
	Permissions []Permission `json:"permissions"`
}

// Permission is the verdict on one permission.
type Permission struct {
	Permission string         `json:"permission"`
	Verdict    access.Verdict `json:"verdict"`
	Reason     string         `json:"reason"`
}
