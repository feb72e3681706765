package admin

import "time"

// Paths of the admin socket.
const (
	PathStatus     = "/v1/status"
	PathTokens     = "/v1/tokens"
	PathOrphans    = "/v1/orphans"
	PathScan       = "/v1/orphans/scan"
	PathPrincipals = "/v1/principals"
	PathAdvance    = "/v1/dev/advance"
	PathHold       = "/v1/dev/hold"
	PathRelease    = "/v1/dev/release"
)

// Status is the appliance at a glance.
type Status struct {
	Version      string         `json:"version"`
	Account      string         `json:"account"`
	Regions      []string       `json:"regions"`
	DataDir      string         `json:"data_dir"`
	Started      time.Time      `json:"started"`
	Clock        time.Time      `json:"clock"` // the appliance's time; ahead of the real time under dev only
	Ready        bool           `json:"ready"`
	Problems     []string       `json:"problems"` // what keeps it from being ready or well
	Listeners    []Listener     `json:"listeners"`
	Keys         map[string]int `json:"keys"` // by key state
	Material     map[string]int `json:"material"`
	Orphans      int            `json:"orphans"`
	Stores       []Store        `json:"stores"`
	Tokens       []Token        `json:"tokens"`
	NextDeletion *time.Time     `json:"next_deletion"`
	AuditDir     string         `json:"audit_dir"`
}

// Listener is an address that answers.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
}

// Store is a custom key store, or the default store of a Region with an empty id.
type Store struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	Region    string `json:"region"`
	State     string `json:"connection_state"`
	ErrorCode string `json:"connection_error_code,omitempty"`
	Cause     string `json:"cause,omitempty"` // what the token said, for people
	Cluster   string `json:"cluster_id,omitempty"`
	Keys      int    `json:"keys"`
}

// Token is a token in use.
type Token struct {
	Name         string   `json:"name"`
	Module       string   `json:"module"`
	Label        string   `json:"token_label"`
	Serial       string   `json:"token_serial"`
	Manufacturer string   `json:"token_manufacturer"`
	Model        string   `json:"token_model"`
	Profile      string   `json:"profile"`
	Use          []string `json:"use"` // default store of a Region, cluster id, XKS realm
	Healthy      bool     `json:"healthy"`
	Error        string   `json:"error,omitempty"`
	Sessions     int      `json:"sessions"`
	InUse        int      `json:"sessions_in_use"`
}

// Principal is a user, role or the account root.
type Principal struct {
	ARN        string      `json:"arn"`
	ID         string      `json:"id,omitempty"` // unique: key policies and grants name a principal by it once it is deleted
	Kind       string      `json:"kind"`
	Name       string      `json:"name"`
	Disabled   bool        `json:"disabled"`
	Created    time.Time   `json:"created_at"`
	Policies   []Policy    `json:"policies"`
	AccessKeys []AccessKey `json:"access_keys"`
}

// Policy is a policy document attached to a principal.
type Policy struct {
	Name     string `json:"name"`
	Document string `json:"document"`
}

// AccessKey is a credential of a principal. Secret is there in the one answer that makes it.
type AccessKey struct {
	AccessKeyID string    `json:"access_key_id"`
	Secret      string    `json:"secret_access_key,omitempty"`
	Disabled    bool      `json:"disabled"`
	Created     time.Time `json:"created_at"`
}

// NewPrincipal asks for a principal with one access key.
type NewPrincipal struct {
	Kind     string   `json:"kind"` // user or role
	Name     string   `json:"name"`
	Policies []Policy `json:"policies"`
}

// Resolution is a person's word that an orphan is gone.
type Resolution struct {
	Note string `json:"note"`
}

// Advance asks the clock of a dev appliance to move forward.
type Advance struct {
	Seconds int64 `json:"seconds"`
}

// Advanced tells the new time and what became due.
type Advanced struct {
	Now      time.Time `json:"now"`
	Deleted  int       `json:"deleted"`
	Orphaned int       `json:"orphaned"`
	Rotated  int       `json:"rotated"`
	Expired  int       `json:"expired"` // imported key material
}

// Empty is an answer or a request that says nothing.
type Empty struct{}
