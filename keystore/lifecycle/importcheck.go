package lifecycle

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// checkImport validates a request as far as it alone tells (API reference, ImportKeyMaterial). It fills in the default of
// ExpirationModel.
func (in *ImportInput) checkImport(now time.Time) error {
	if in.ExpirationModel == "" {
		in.ExpirationModel = expires
	}
	switch in.ExpirationModel {
	case expires, expiresNever:
	default:
		return invalid(in.ExpirationModel, "expirationModel", "Member must satisfy enum value set: ["+expires+", "+expiresNever+"]")
	}
	switch in.ImportType {
	case "", importNew, importSame:
	default:
		return invalid(in.ImportType, "importType", "Member must satisfy enum value set: ["+importNew+", "+importSame+"]")
	}
	switch {
	case in.ExpirationModel == expires && in.ValidTo.IsZero(): // recorded
		return keystore.Faultf(keystore.KindValidation, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
	case in.ExpirationModel == expiresNever && !in.ValidTo.IsZero():
		return keystore.Faultf(keystore.KindValidation, "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
	case in.ExpirationModel == expires && !in.ValidTo.After(now):
		return keystore.Faultf(keystore.KindValidation, "The validTo date must be in the future")
	case in.ExpirationModel == expires && in.ValidTo.After(now.Add(maxValidity)):
		return keystore.Faultf(keystore.KindValidation, "The validTo date must not be more than 365 days in the future")
	case in.ImportType == importNew && in.KeyMaterialID != "":
		return keystore.Faultf(keystore.KindValidation, "You cannot specify a KeyMaterialId with ImportType NEW_KEY_MATERIAL")
	}
	in.ValidTo = in.ValidTo.UTC().Truncate(time.Millisecond)
	return nil
}

// checkFor holds a request against its key: asymmetric and HMAC keys have one material for life, so that nothing can be said
// about which one it is.
func (in *ImportInput) checkFor(k *keystore.Key) error {
	if replicaOf(k) && len(k.Materials) == 0 {
		// A replica whose deletion was scheduled and cancelled before it knew its primary's material is still being made: what
		// came now would be its own.
		creating := keystore.Permit(keystore.ActionImportKeyMaterial, keystore.Creating)
		return creating.Fault(k)
	}
	if k.Spec == keystore.SymmetricDefault {
		if in.ImportType == importNew && replicaOf(k) {
			return keystore.Faultf(keystore.KindUnsupportedOperation,
				"New key material cannot be imported into the multi-Region replica key %s. Import it into the primary key first.", k.ARN())
		}
		return nil
	}
	for member, given := range map[string]string{
		"ImportType": in.ImportType, "KeyMaterialId": in.KeyMaterialID, "KeyMaterialDescription": in.KeyMaterialDescription,
	} {
		if given != "" {
			return keystore.Faultf(keystore.KindValidation, "%s is valid only for symmetric encryption keys", member)
		}
	}
	return nil
}

// replicaOf tells whether k is a multi-Region replica.
func replicaOf(k *keystore.Key) bool { return k.MultiRegion != nil && !k.MultiRegion.Primary }

// importKind is what an import does with what it has put on the token.
type importKind uint8

const (
	importFirst   importKind = iota // the key's first material
	importPending                   // more material, which waits for its rotation
	importAbsent                    // material that the key knows and has not
	importPresent                   // material that is on the token: the object that is there stays
)

// decide tells what an import does. found is the key's material that the new object has the same value as, -1 for none.
func (in *ImportInput) decide(k *keystore.Key, found int, id keystore.MaterialID) (importKind, error) {
	kind := in.ImportType
	switch {
	case kind == "" && len(k.Materials) == 0:
		kind = importNew
	case kind == "":
		kind = importSame
	}
	wrong := keystore.Faultf(keystore.KindIncorrectKeyMaterial,
		"The key material in the request is not the key material that was imported into KMS key %s.", k.ARN())
	if kind == importNew {
		return in.decideNew(k, found, id)
	}
	switch {
	case found < 0, in.KeyMaterialID != "" && k.Materials[found].KeyMaterialID() != in.KeyMaterialID:
		return 0, wrong
	case k.Materials[found].Imported:
		return importPresent, nil
	default:
		return importAbsent, nil
	}
}

func (in *ImportInput) decideNew(k *keystore.Key, found int, id keystore.MaterialID) (importKind, error) {
	if found >= 0 {
		return 0, keystore.Faultf(keystore.KindIncorrectKeyMaterial,
			"The key material in the request is already associated with KMS key %s.", k.ARN())
	}
	for i := range k.Materials {
		if m := &k.Materials[i]; waiting(m) { // recorded
			return 0, keystore.Faultf(keystore.KindInvalidState, "New key material (id: %s) cannot be imported into KMS key %s, "+
				"because another key material (id: %s) is pending rotation.", id.KMSID(), k.ARN(), m.KeyMaterialID())
		}
	}
	if len(k.Materials) == 0 {
		return importFirst, nil
	}
	return importPending, nil
}
