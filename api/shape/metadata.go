package shape

import "github.com/strongroom/strongroom/keystore"

// KeyMetadata is the API's view of a key: the key as stored, and the state that it has now.
type KeyMetadata struct {
	Key   *keystore.Key
	State keystore.State
}

// algorithmLists names the member that lists a usage's algorithms.
var algorithmLists = map[keystore.Usage]string{
	keystore.UsageEncryptDecrypt:  "EncryptionAlgorithms",
	keystore.UsageSignVerify:      "SigningAlgorithms",
	keystore.UsageMAC:             "MacAlgorithms",
	keystore.UsageKeyAgreement:    "KeyAgreementAlgorithms",
	keystore.UsageEncapsulateDecp: "EncapsulationAlgorithms",
}

// Write implements Response. Which members are there when is in key-lifecycle.md, sections 1 to 7.
func (r *KeyMetadata) Write(w *Writer) {
	k := r.Key
	w.String("AWSAccountId", k.Account)
	w.String("KeyId", string(k.ID))
	w.String("Arn", k.ARN())
	w.Time("CreationDate", k.Created)
	w.Bool("Enabled", r.State == keystore.Enabled)
	w.Text("Description", k.Description)
	w.String("KeyUsage", string(k.Usage))
	w.String("KeyState", string(r.State))
	r.deletion(w)
	r.imported(w)
	w.String("Origin", string(k.Origin))
	w.String("CustomKeyStoreId", string(k.StoreID))
	w.String("CloudHsmClusterId", k.ClusterID)
	w.String("KeyManager", "CUSTOMER")
	writeSpec(w, k)
	w.Bool("MultiRegion", k.MultiRegion != nil)
	if k.MultiRegion != nil {
		w.Object("MultiRegionConfiguration", multiRegion{k})
	}
	if k.XksKeyID != "" {
		w.Object("XksKeyConfiguration", xksKey(k.XksKeyID))
	}
	if current := k.Current(); current != nil && k.ShowsMaterialID() {
		w.String("CurrentKeyMaterialId", current.KeyMaterialID())
	}
}

// deletion writes the date of a key that is pending deletion; a primary that waits for its replicas has none and shows
// the window that will start then.
func (r *KeyMetadata) deletion(w *Writer) {
	switch r.State {
	case keystore.PendingDeletion:
		w.Time("DeletionDate", r.Key.DeletionDate)
	case keystore.PendingReplicaDeletion:
		days := int32(r.Key.WindowDays)
		w.Int("PendingDeletionWindowInDays", &days)
	}
}

func (r *KeyMetadata) imported(w *Writer) {
	if i := r.Key.Import; i != nil {
		w.Time("ValidTo", i.ValidTo)
		w.String("ExpirationModel", i.ExpirationModel)
	}
}

// writeSpec writes a key's spec under its two names, and its algorithms.
func writeSpec(w *Writer, k *keystore.Key) {
	w.String("KeySpec", string(k.Spec))
	info, ok := keystore.LookupSpec(k.Spec)
	if !ok {
		return
	}
	if info.Legacy {
		w.String("CustomerMasterKeySpec", string(k.Spec))
	}
	w.Strings(algorithmLists[k.Usage], info.Algorithms(k.Usage))
}

// multiRegion is MultiRegionConfiguration.
type multiRegion struct{ k *keystore.Key }

func (r multiRegion) Write(w *Writer) {
	m := r.k.MultiRegion
	kind := "REPLICA"
	if m.Primary {
		kind = "PRIMARY"
	}
	w.String("MultiRegionKeyType", kind)
	w.Object("PrimaryKey", multiRegionKey{r.k, m.PrimaryRegion})
	replicas := make([]multiRegionKey, len(m.ReplicaRegions))
	for i, region := range m.ReplicaRegions {
		replicas[i] = multiRegionKey{r.k, region}
	}
	List(w, "ReplicaKeys", replicas)
}

// multiRegionKey is MultiRegionKey: one of the related keys.
type multiRegionKey struct {
	k      *keystore.Key
	region string
}

func (r multiRegionKey) Write(w *Writer) {
	w.String("Arn", keystore.KeyARN(r.region, r.k.Account, r.k.ID))
	w.String("Region", r.region)
}

// xksKey is XksKeyConfigurationType.
type xksKey string

func (r xksKey) Write(w *Writer) { w.String("Id", string(r)) }
