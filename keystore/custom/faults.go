package custom

import "github.com/strongroom/strongroom/keystore"

// The faults of this service. AWS publishes the kinds and when they come; the recorded texts of these operations are not
// known, so the texts are our own.

func noSuchStore(id keystore.StoreID) *keystore.Fault {
	return keystore.NoSuchStore(id)
}

func noStoreNamed(name string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCustomKeyStoreNotFound, "There is no custom key store with the name '%s'.", name)
}

func nameInUse(name string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCustomKeyStoreNameInUse, "A custom key store with the name '%s' already exists.", name)
}

func overQuota(limit int) *keystore.Fault {
	return keystore.Faultf(keystore.KindLimitExceeded, "You have reached the limit of %d custom key stores in this Region.", limit)
}

func hasKeys(id keystore.StoreID) *keystore.Fault {
	return keystore.Faultf(keystore.KindCustomKeyStoreHasCMKs,
		"The custom key store %s contains KMS keys. Keys that are pending deletion count until they are deleted.", id)
}

func bothFilters() *keystore.Fault {
	return keystore.Faultf(keystore.KindValidation, "Please specify either CustomKeyStoreId or CustomKeyStoreName, not both.")
}

func noSuchCluster(id string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCloudHsmClusterNotFound, "The CloudHSM cluster %s does not exist.", id)
}

func clusterInUse(id string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCloudHsmClusterInUse,
		"The CloudHSM cluster %s, or a cluster that shares its backups, is already used by a custom key store.", id)
}

func clusterNotRelated(id string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCloudHsmClusterNotRelated,
		"The CloudHSM cluster %s does not share backups with the cluster of the custom key store.", id)
}

// clusterTaken is the fault of an update to a cluster that another store has: CloudHsmClusterInUse is not in the list of
// errors of UpdateCustomKeyStore (model).
func clusterTaken(id string) *keystore.Fault {
	return keystore.Faultf(keystore.KindCloudHsmClusterInvalidConfig,
		"The CloudHSM cluster %s is already used by another custom key store.", id)
}

func wrongAnchor(cause error) *keystore.Fault {
	return keystore.Faultf(keystore.KindIncorrectTrustAnchor,
		"The trust anchor certificate is not the certificate of the CloudHSM cluster.").Because(cause)
}

func missing(parameter string, t keystore.StoreType) *keystore.Fault {
	return keystore.Faultf(keystore.KindValidation, "%s is required for a custom key store of type %s.", parameter, t)
}

func foreign(parameter string, t keystore.StoreType) *keystore.Fault {
	return keystore.Faultf(keystore.KindValidation, "%s is not valid for a custom key store of type %s.", parameter, t)
}

func notWhile(parameter string, st *keystore.Store) *keystore.Fault {
	return keystore.Faultf(keystore.KindCustomKeyStoreInvalidState,
		"%s of custom key store %s cannot be changed while its connection state is %s.", parameter, st.ID, st.Conn)
}

func noExternalStores() *keystore.Fault {
	return keystore.Faultf(keystore.KindUnsupportedOperation, "Custom key stores of type %s are not enabled.", keystore.StoreXKS)
}

// sealFailed is what a caller is told when the vault fails: its own fault would speak of a KMS key that the caller never named.
func sealFailed(cause error) *keystore.Fault {
	return (&keystore.Fault{Kind: keystore.KindInternal}).Because(cause)
}
