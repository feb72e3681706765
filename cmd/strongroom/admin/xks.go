package admin

import "time"

// Paths of the XKS proxy. Below PathRealms: /{realm}/credentials[/{id}], /{realm}/keys[/{id}[/enable|disable|usage]].
const (
	PathRealms   = "/v1/xks/realms"
	PathXKSFault = "/v1/dev/xks-fault"
)

// Realm is a realm of the XKS proxy.
type Realm struct {
	Name        string            `json:"name"`
	URIPath     string            `json:"uri_path"` // XksProxyUriPath
	Token       string            `json:"token"`    // name in the configuration
	Addressing  string            `json:"addressing"`
	AllKeys     bool              `json:"all_keys"`
	Keys        []string          `json:"keys"` // external key ids that it serves, where it does not serve all
	Quota       int               `json:"quota"`
	Blocked     bool              `json:"blocked"`
	Health      string            `json:"health"` // of the key manager: ACTIVE, DEGRADED, UNAVAILABLE, "" for not known yet
	Credentials []RealmCredential `json:"credentials"`
}

// RealmCredential is a credential that KMS can sign with.
type RealmCredential struct {
	AccessKeyID string     `json:"access_key_id"`
	Source      string     `json:"source"`   // "configuration" or "command"
	Added       *time.Time `json:"added_at"` // nil for one of the configuration
	LastUsed    *time.Time `json:"last_used_at"`
}

// NewRealmCredential asks for a credential. With empty fields it is made, else it is imported.
type NewRealmCredential struct {
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
}

// RealmSecret is what a store at KMS needs of a realm: its path and a credential with its secret.
type RealmSecret struct {
	Realm       string `json:"realm"`
	URIPath     string `json:"uri_path"`
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
}

// ExternalKey is an external key as its administrator sees it.
type ExternalKey struct {
	ID         string     `json:"id"` // XksKeyId
	Realm      string     `json:"realm"`
	Served     bool       `json:"served"` // by the realm, as its configuration says
	Label      string     `json:"label"`
	CKAID      string     `json:"cka_id"`
	Spec       string     `json:"spec"`
	Usage      string     `json:"usage"` // none, encrypt, decrypt, both
	Enabled    bool       `json:"enabled"`
	Made       bool       `json:"made"` // by `strongroom xks keys create`
	Created    *time.Time `json:"created_at"`
	CheckValue string     `json:"check_value"`
	Problem    string     `json:"problem"` // why it cannot be used
}

// NewExternalKey asks for an AES-256 key on a realm's token. ID is the external key id where it is a CKA_LABEL; where it
// is a CKA_ID, that is drawn, and ID is the label.
type NewExternalKey struct {
	ID    string `json:"id"`
	Usage string `json:"usage"`
}

// KeyUsage changes what an external key may be used for.
type KeyUsage struct {
	Usage string `json:"usage"`
}

// XKSFault asks a dev appliance's proxy to misbehave in a realm.
type XKSFault struct {
	Realm string `json:"realm"` // "" for all realms
	Fault string `json:"fault"` // as slow=300ms, failing, malformed, gone, off
}

// XKSFaults are the faults of a dev appliance's proxy, by realm.
type XKSFaults struct {
	Faults map[string]string `json:"faults"`
}
