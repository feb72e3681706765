package lifecycle

import (
	"strconv"

	"github.com/strongroom/strongroom/keystore"
)

// design is a CreateKey request that passed validation.
type design struct {
	info   *keystore.SpecInfo
	usage  keystore.Usage
	origin keystore.Origin
	rule   originRule
	tags   []keystore.Tag
}

// originRule is what an origin demands of the rest of the request (key-lifecycle.md section 2).
type originRule struct {
	store  keystore.StoreType            // the type of custom key store that it needs; "" forbids a store
	xksKey bool                          // XksKeyId must be given; else it must not
	fits   func(*keystore.SpecInfo) bool // specs that it takes
	row    keystore.MaterialKind         // whose the material is
	later  string                        // why the appliance can't make such keys; "" where it can
}

var originRules = map[keystore.Origin]originRule{
	keystore.OriginKMS:      {fits: func(*keystore.SpecInfo) bool { return true }, row: keystore.MaterialOnToken},
	keystore.OriginExternal: {fits: func(i *keystore.SpecInfo) bool { return i.Importable }, row: keystore.MaterialOnToken},
	keystore.OriginCloudHSM: {store: keystore.StoreCloudHSM, fits: func(i *keystore.SpecInfo) bool { return i.Custom },
		row: keystore.MaterialOnToken},
	// Its rows are buildExternal's to plan.
	keystore.OriginXKS: {store: keystore.StoreXKS, xksKey: true, fits: func(i *keystore.SpecInfo) bool { return i.Custom }},
}

// checkCreate validates a CreateKey request as far as the request alone tells.
func (s *Service) checkCreate(in *CreateKeyInput) (*design, error) {
	d := &design{origin: keystore.Origin(in.Origin)}
	if d.origin == "" {
		d.origin = keystore.OriginKMS
	}
	var ok bool
	if d.rule, ok = originRules[d.origin]; !ok {
		return nil, invalid(in.Origin, "origin",
			"Member must satisfy enum value set: [EXTERNAL, AWS_CLOUDHSM, AWS_KMS, EXTERNAL_KEY_STORE]")
	}
	if err := d.checkSpec(in); err != nil {
		return nil, err
	}
	if err := d.checkOrigin(in); err != nil {
		return nil, err
	}
	var err error
	if d.tags, err = s.checkTags(in.Tags); err != nil {
		return nil, err
	}
	return d, nil
}

// checkSpec finds spec and usage; the texts are recorded ones (api-errors.md section 6).
func (d *design) checkSpec(in *CreateKeyInput) error {
	given := in.KeySpec
	switch {
	case in.KeySpec != "" && in.CustomerMasterKeySpec != "":
		return keystore.Faultf(keystore.KindValidation,
			"You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	case in.CustomerMasterKeySpec != "":
		given = in.CustomerMasterKeySpec
	case given == "":
		given = string(keystore.SymmetricDefault)
	}
	var ok bool
	if d.info, ok = keystore.LookupSpec(keystore.Spec(given)); !ok {
		return invalid(given, "keySpec", "Member must satisfy enum value set: "+enumOf(keystore.Specs()))
	}
	if d.usage = keystore.Usage(in.KeyUsage); d.usage == "" {
		d.usage = d.info.Default
	}
	if d.usage == "" {
		return keystore.Faultf(keystore.KindValidation,
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
	if d.info.Algorithms(d.usage) == nil {
		return keystore.Faultf(keystore.KindValidation, "KeyUsage %s is not compatible with KeySpec %s", d.usage, d.info.Spec)
	}
	if d.info.China {
		return keystore.Faultf(keystore.KindUnsupportedOperation, "KeySpec %s is not supported in this Region.", d.info.Spec)
	}
	return nil
}

// checkOrigin holds the request against its origin's rule.
func (d *design) checkOrigin(in *CreateKeyInput) error {
	r := &d.rule
	switch {
	case r.store == "" && in.CustomKeyStoreID != "":
		return keystore.Faultf(keystore.KindValidation,
			"CustomKeyStoreId is not valid with Origin %s. Use AWS_CLOUDHSM or EXTERNAL_KEY_STORE.", d.origin)
	case r.store != "" && in.CustomKeyStoreID == "":
		return keystore.Faultf(keystore.KindValidation, "Origin %s requires a CustomKeyStoreId.", d.origin)
	case r.xksKey && in.XksKeyID == "":
		return keystore.Faultf(keystore.KindValidation, "Origin %s requires an XksKeyId.", d.origin)
	case !r.xksKey && in.XksKeyID != "":
		return keystore.Faultf(keystore.KindValidation, "XksKeyId is valid only with Origin %s.", keystore.OriginXKS)
	case !r.fits(d.info):
		return keystore.Faultf(keystore.KindValidation, "KeySpec %s is not supported for Origin %s", d.info.Spec, d.origin)
	case r.store != "" && in.MultiRegion:
		return keystore.Faultf(keystore.KindUnsupportedOperation, "Multi-Region keys are not supported in custom key stores.")
	}
	return nil
}

// conditions are the condition keys of CreateKey, two of them under their old names too.
func (d *design) conditions(in *CreateKeyInput) map[string][]string {
	m := map[string][]string{
		"kms:KeySpec":                        {string(d.info.Spec)},
		"kms:KeyUsage":                       {string(d.usage)},
		"kms:CustomerMasterKeySpec":          {string(d.info.Spec)},
		"kms:CustomerMasterKeyUsage":         {string(d.usage)},
		"kms:KeyOrigin":                      {string(d.origin)},
		"kms:MultiRegion":                    {strconv.FormatBool(in.MultiRegion)},
		"kms:BypassPolicyLockoutSafetyCheck": {strconv.FormatBool(in.BypassPolicyLockoutSafetyCheck)},
	}
	if in.MultiRegion {
		m["kms:MultiRegionKeyType"] = []string{"PRIMARY"}
	}
	tagConditions(m, d.tags)
	return m
}

func enumOf[T ~string](values []T) string {
	s := "["
	for i, v := range values {
		if i > 0 {
			s += ", "
		}
		s += string(v)
	}
	return s + "]"
}
