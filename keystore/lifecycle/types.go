package lifecycle

import "github.com/strongroom/strongroom/keystore"

// CreateKeyInput is CreateKey's request with the members of the API; "" and nil are absent members.
type CreateKeyInput struct {
	Policy                         string
	Description                    string
	KeyUsage                       string
	KeySpec                        string
	CustomerMasterKeySpec          string
	Origin                         string
	CustomKeyStoreID               string
	XksKeyID                       string
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []keystore.Tag
	MultiRegion                    bool
}

// KeyView is a key as callers see it. Key may be shared and must not be changed; State is the state to show, which
// depends on the store's connection.
type KeyView struct {
	Key   *keystore.Key
	State keystore.State
}

// PutKeyPolicyInput is PutKeyPolicy's request. PolicyName "" is "default".
type PutKeyPolicyInput struct {
	KeyID                          string
	PolicyName                     string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
}

// Limits are the service's quotas. A zero member takes AWS's default.
type Limits struct {
	Keys    int // customer keys in a Region: 100 000
	Aliases int // aliases of a key: 50
	Tags    int // tags of a key: 50
}
