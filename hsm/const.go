package hsm

// Object classes, key types, attributes and mechanisms of PKCS#11 2.40 to 3.2
// that this package uses, with the specification's names and numbers.
const (
	ckoData       uint = 0x0
	ckoPublicKey  uint = 0x2
	ckoPrivateKey uint = 0x3
	ckoSecretKey  uint = 0x4

	ckkRSA           uint = 0x00
	ckkEC            uint = 0x03
	ckkGenericSecret uint = 0x10
	ckkAES           uint = 0x1f
	ckkECEdwards     uint = 0x40
	ckkMLKEM         uint = 0x49
	ckkMLDSA         uint = 0x4a

	ckaClass          uint = 0x000
	ckaToken          uint = 0x001
	ckaPrivate        uint = 0x002
	ckaLabel          uint = 0x003
	ckaValue          uint = 0x011
	ckaCheckValue     uint = 0x090
	ckaKeyType        uint = 0x100
	ckaID             uint = 0x102
	ckaSensitive      uint = 0x103
	ckaEncrypt        uint = 0x104
	ckaDecrypt        uint = 0x105
	ckaWrap           uint = 0x106
	ckaUnwrap         uint = 0x107
	ckaSign           uint = 0x108
	ckaVerify         uint = 0x10a
	ckaDerive         uint = 0x10c
	ckaModulus        uint = 0x120
	ckaModulusBits    uint = 0x121
	ckaPublicExponent uint = 0x122
	ckaPrivateExp     uint = 0x123
	ckaPrime1         uint = 0x124
	ckaPrime2         uint = 0x125
	ckaExponent1      uint = 0x126
	ckaExponent2      uint = 0x127
	ckaCoefficient    uint = 0x128
	ckaValueLen       uint = 0x161
	ckaExtractable    uint = 0x162
	ckaLocal          uint = 0x163
	ckaECParams       uint = 0x180
	ckaECPoint        uint = 0x181
	ckaParameterSet   uint = 0x61d
	ckaEncapsulate    uint = 0x633
	ckaDecapsulate    uint = 0x634

	ckmRSAPairGen       uint = 0x0000
	ckmRSAPKCS          uint = 0x0001
	ckmRSAX509          uint = 0x0003
	ckmRSAOAEP          uint = 0x0009
	ckmRSAPSS           uint = 0x000d
	ckmMLKEMPairGen     uint = 0x000f
	ckmMLKEM            uint = 0x0017
	ckmMLDSAPairGen     uint = 0x001c
	ckmMLDSA            uint = 0x001d
	ckmSHA256RSAPSS     uint = 0x0043
	ckmSHA384RSAPSS     uint = 0x0044
	ckmSHA512RSAPSS     uint = 0x0045
	ckmSHA1             uint = 0x0220
	ckmSHA256           uint = 0x0250
	ckmSHA256HMAC       uint = 0x0251
	ckmSHA224           uint = 0x0255
	ckmSHA224HMAC       uint = 0x0256
	ckmSHA384           uint = 0x0260
	ckmSHA384HMAC       uint = 0x0261
	ckmSHA512           uint = 0x0270
	ckmSHA512HMAC       uint = 0x0271
	ckmGenericSecretGen uint = 0x0350
	ckmECPairGen        uint = 0x1040
	ckmECDSA            uint = 0x1041
	ckmECDH1            uint = 0x1050
	ckmECEdwardsPairGen uint = 0x1055
	ckmEdDSA            uint = 0x1057
	ckmAESKeyGen        uint = 0x1080
	ckmAESECB           uint = 0x1081
	ckmAESCBC           uint = 0x1082
	ckmAESGCM           uint = 0x1087
	ckmAESKeyWrapPad    uint = 0x210a
	ckmAESKeyWrapKWP    uint = 0x210b

	ckgMGF1SHA1   uint = 1
	ckgMGF1SHA256 uint = 2
	ckgMGF1SHA384 uint = 3
	ckgMGF1SHA512 uint = 4
	ckgMGF1SHA224 uint = 5

	ckpMLDSA44   uint = 1
	ckpMLDSA65   uint = 2
	ckpMLDSA87   uint = 3
	ckpMLKEM512  uint = 1
	ckpMLKEM768  uint = 2
	ckpMLKEM1024 uint = 3

	ckzDataSpecified uint = 1
	ckdNull          uint = 1

	ckfWriteProtected     uint = 0x0002
	ckfLoginRequired      uint = 0x0004
	ckfUserPINInitialized uint = 0x0008
	ckfProtectedAuthPath  uint = 0x0100
	ckfTokenInitialized   uint = 0x0400
	ckfUserPINLocked      uint = 0x40000
	ckfUserPINToBeChanged uint = 0x80000
)

// Names for people of the classes and key types above; other numbers print in
// hexadecimal.
var (
	classNames = map[uint]string{
		ckoData: "CKO_DATA", 0x1: "CKO_CERTIFICATE", ckoPublicKey: "CKO_PUBLIC_KEY",
		ckoPrivateKey: "CKO_PRIVATE_KEY", ckoSecretKey: "CKO_SECRET_KEY",
		0x5: "CKO_HW_FEATURE", 0x6: "CKO_DOMAIN_PARAMETERS", 0x7: "CKO_MECHANISM",
	}
	keyTypeNames = map[uint]string{
		ckkRSA: "CKK_RSA", 0x1: "CKK_DSA", 0x2: "CKK_DH", ckkEC: "CKK_EC",
		ckkGenericSecret: "CKK_GENERIC_SECRET", 0x13: "CKK_DES", 0x15: "CKK_DES3", ckkAES: "CKK_AES",
		0x28: "CKK_SHA_1_HMAC", 0x2b: "CKK_SHA256_HMAC", 0x2c: "CKK_SHA384_HMAC",
		0x2d: "CKK_SHA512_HMAC", 0x2e: "CKK_SHA224_HMAC",
		ckkECEdwards: "CKK_EC_EDWARDS", 0x41: "CKK_EC_MONTGOMERY",
		ckkMLKEM: "CKK_ML_KEM", ckkMLDSA: "CKK_ML_DSA",
	}
)
