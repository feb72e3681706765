package backend

import "github.com/strongroom/strongroom/keystore"

// Call is what was asked of a backend, as far as AWS's faults tell calls apart.
type Call uint8

// The calls.
const (
	CallUse    Call = iota // a cryptographic operation with a key
	CallCreate             // CreateKey
	CallRandom             // GenerateRandom
	CallManage             // destroy, find, list, health: its fault is read by operators only
)

// unreachable has AWS's fault where nothing behind a store answers, by store type and call. For keys in use the texts are
// documented (developer guide, "Fixing a custom key store" and the external key store's "Connection errors"); CreateKey
// needs active HSMs (API reference, CloudHsmClusterInvalidConfigurationException); GenerateRandom has neither in its list
// of errors, and DependencyTimeout tells the SDKs to try again.
var unreachable = map[keystore.StoreType][4]keystore.Fault{
	"": {
		CallUse:    {Kind: keystore.KindKeyUnavailable, Text: "The KMS key is not available right now. Try again."},
		CallCreate: {Kind: keystore.KindDependencyTimeout, Text: "The key store did not answer. Try again."},
		CallRandom: {Kind: keystore.KindDependencyTimeout, Text: "The key store did not answer. Try again."},
		CallManage: {Kind: keystore.KindDependencyTimeout, Text: "The key store did not answer. Try again."},
	},
	keystore.StoreCloudHSM: {
		CallUse: {Kind: keystore.KindInvalidState, Text: "KMS cannot communicate with your CloudHSM cluster"},
		CallCreate: {Kind: keystore.KindCloudHsmClusterInvalidConfig,
			Text: "CloudHSM cluster must contain active HSMs in at least two Availability Zones"},
		CallRandom: {Kind: keystore.KindDependencyTimeout, Text: "KMS cannot communicate with your CloudHSM cluster"},
		CallManage: {Kind: keystore.KindDependencyTimeout, Text: "KMS cannot communicate with your CloudHSM cluster"},
	},
	keystore.StoreXKS: {
		CallUse:    {Kind: keystore.KindInvalidState, Text: xksUnreachable},
		CallCreate: {Kind: keystore.KindCustomKeyStoreInvalidState, Text: xksUnreachable},
		CallRandom: {Kind: keystore.KindInvalidState, Text: xksUnreachable}, // of a data key; GenerateRandom is refused by the store's type
		CallManage: {Kind: keystore.KindDependencyTimeout, Text: xksUnreachable},
	},
}

const xksUnreachable = "AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. " +
	"If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, " +
	"and that its endpoint URI is correct in your external keystore."

// Unreachable is AWS's fault for a call to a store of that type ("" is a default store) when what stands behind the store
// does not answer.
func Unreachable(t keystore.StoreType, c Call) *keystore.Fault {
	f := unreachable[t][c]
	return &f
}
