package keystore

// usageRule says what kind of key an action needs whatever the key's state: the usage, and for some a family of specs.
type usageRule struct {
	usage     Usage // "": any
	symmetric bool  // the spec must be SYMMETRIC_DEFAULT
	public    bool  // the spec must have a public key
}

// usageTable: actions that need a certain KeyUsage or type of key (API reference: each operation's introduction).
var usageTable = map[Action]usageRule{
	ActionEncrypt:                             {usage: UsageEncryptDecrypt},
	ActionDecrypt:                             {usage: UsageEncryptDecrypt},
	ActionReEncrypt:                           {usage: UsageEncryptDecrypt},
	ActionGenerateDataKey:                     {usage: UsageEncryptDecrypt, symmetric: true},
	ActionGenerateDataKeyWithoutPlaintext:     {usage: UsageEncryptDecrypt, symmetric: true},
	ActionGenerateDataKeyPair:                 {usage: UsageEncryptDecrypt, symmetric: true},
	ActionGenerateDataKeyPairWithoutPlaintext: {usage: UsageEncryptDecrypt, symmetric: true},
	ActionSign:                                {usage: UsageSignVerify},
	ActionVerify:                              {usage: UsageSignVerify},
	ActionGenerateMac:                         {usage: UsageMAC},
	ActionVerifyMac:                           {usage: UsageMAC},
	ActionDeriveSharedSecret:                  {usage: UsageKeyAgreement},
	ActionEncapsulate:                         {usage: UsageEncapsulateDecp},
	ActionDecapsulate:                         {usage: UsageEncapsulateDecp},
	ActionGetPublicKey:                        {public: true},
}

// RequiredUsage gives the KeyUsage that an action needs; "" for actions on keys of any usage.
func RequiredUsage(a Action) Usage { return usageTable[a].usage }

// IncompatibleAlgorithm is AWS's fault for an algorithm that does not belong to the key's spec (api-errors.md section 6).
func IncompatibleAlgorithm(algorithm string, s Spec) *Fault {
	return Faultf(KindInvalidKeyUsage, "Algorithm %s is incompatible with key spec %s.", algorithm, s)
}

// check gives the fault of a key that the action cannot be used on; nil where it can.
func (r usageRule) check(a Action, k *Key) *Fault {
	switch {
	case r.usage != "" && k.Usage != r.usage:
		return Faultf(KindInvalidKeyUsage, "%s key usage is %s which is not valid for %s.", k.ARN(), k.Usage, a)
	case r.symmetric && k.Spec != SymmetricDefault:
		return IncompatibleAlgorithm(string(SymmetricDefault), k.Spec)
	case r.public:
		info, found := LookupSpec(k.Spec)
		if !found || !info.Asymmetric() {
			// The exception is AWS's; the words follow those of the origin rule, since AWS's are not recorded.
			return Faultf(KindUnsupportedOperation, "%s key spec is %s which is not valid for this operation.", k.ARN(), k.Spec)
		}
	}
	return nil
}
