package keystore

import (
	"maps"
	"slices"
)

// Action is an operation of the AWS KMS API, by its name on the wire (behind "TrentService.").
type Action string

// Actions on an existing key: the rows of the key state table.
const (
	ActionCancelKeyDeletion                   Action = "CancelKeyDeletion"
	ActionCreateAlias                         Action = "CreateAlias"
	ActionCreateGrant                         Action = "CreateGrant"
	ActionDecapsulate                         Action = "Decapsulate"
	ActionDecrypt                             Action = "Decrypt"
	ActionDeleteAlias                         Action = "DeleteAlias"
	ActionDeleteImportedKeyMaterial           Action = "DeleteImportedKeyMaterial"
	ActionDeriveSharedSecret                  Action = "DeriveSharedSecret"
	ActionDescribeKey                         Action = "DescribeKey"
	ActionDisableKey                          Action = "DisableKey"
	ActionDisableKeyRotation                  Action = "DisableKeyRotation"
	ActionEnableKey                           Action = "EnableKey"
	ActionEnableKeyRotation                   Action = "EnableKeyRotation"
	ActionEncapsulate                         Action = "Encapsulate"
	ActionEncrypt                             Action = "Encrypt"
	ActionGenerateDataKey                     Action = "GenerateDataKey"
	ActionGenerateDataKeyPair                 Action = "GenerateDataKeyPair"
	ActionGenerateDataKeyPairWithoutPlaintext Action = "GenerateDataKeyPairWithoutPlaintext"
	ActionGenerateDataKeyWithoutPlaintext     Action = "GenerateDataKeyWithoutPlaintext"
	ActionGenerateMac                         Action = "GenerateMac"
	ActionGetKeyLastUsage                     Action = "GetKeyLastUsage"
	ActionGetKeyPolicy                        Action = "GetKeyPolicy"
	ActionGetKeyRotationStatus                Action = "GetKeyRotationStatus"
	ActionGetParametersForImport              Action = "GetParametersForImport"
	ActionGetPublicKey                        Action = "GetPublicKey"
	ActionImportKeyMaterial                   Action = "ImportKeyMaterial"
	ActionListAliases                         Action = "ListAliases"
	ActionListGrants                          Action = "ListGrants"
	ActionListKeyPolicies                     Action = "ListKeyPolicies"
	ActionListKeyRotations                    Action = "ListKeyRotations"
	ActionListResourceTags                    Action = "ListResourceTags"
	ActionPutKeyPolicy                        Action = "PutKeyPolicy"
	ActionReEncrypt                           Action = "ReEncrypt"
	ActionReplicateKey                        Action = "ReplicateKey"
	ActionRetireGrant                         Action = "RetireGrant"
	ActionRevokeGrant                         Action = "RevokeGrant"
	ActionRotateKeyOnDemand                   Action = "RotateKeyOnDemand"
	ActionScheduleKeyDeletion                 Action = "ScheduleKeyDeletion"
	ActionSign                                Action = "Sign"
	ActionTagResource                         Action = "TagResource"
	ActionUntagResource                       Action = "UntagResource"
	ActionUpdateAlias                         Action = "UpdateAlias"
	ActionUpdateKeyDescription                Action = "UpdateKeyDescription"
	ActionUpdatePrimaryRegion                 Action = "UpdatePrimaryRegion"
	ActionVerify                              Action = "Verify"
	ActionVerifyMac                           Action = "VerifyMac"
)

// Actions that take no existing key.
const (
	ActionConnectCustomKeyStore    Action = "ConnectCustomKeyStore"
	ActionCreateCustomKeyStore     Action = "CreateCustomKeyStore"
	ActionCreateKey                Action = "CreateKey"
	ActionDeleteCustomKeyStore     Action = "DeleteCustomKeyStore"
	ActionDescribeCustomKeyStores  Action = "DescribeCustomKeyStores"
	ActionDisconnectCustomKeyStore Action = "DisconnectCustomKeyStore"
	ActionGenerateRandom           Action = "GenerateRandom"
	ActionListKeys                 Action = "ListKeys"
	ActionListRetirableGrants      Action = "ListRetirableGrants"
	ActionUpdateCustomKeyStore     Action = "UpdateCustomKeyStore"
)

// keylessActions are the actions that take no existing key, and so have no row in the key state table.
var keylessActions = []Action{
	ActionConnectCustomKeyStore,
	ActionCreateCustomKeyStore,
	ActionCreateKey,
	ActionDeleteCustomKeyStore,
	ActionDescribeCustomKeyStores,
	ActionDisconnectCustomKeyStore,
	ActionGenerateRandom,
	ActionListKeys,
	ActionListRetirableGrants,
	ActionUpdateCustomKeyStore,
}

// KeyActions lists the actions on an existing key, by name.
func KeyActions() []Action { return slices.Sorted(maps.Keys(keyTable)) }

// Actions lists every action of the API, by name (API reference, "Actions"; AWS SDK for Go v2, service/kms v1.62.4).
func Actions() []Action {
	all := append(KeyActions(), keylessActions...)
	slices.Sort(all)
	return all
}

// Known tells whether the API has this action.
func (a Action) Known() bool {
	_, onKey := keyTable[a]
	return onKey || slices.Contains(keylessActions, a)
}
