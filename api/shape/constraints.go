package shape

// The constraint table: one row per constrained shape of the service model (API version 2014-11-01, lengths and patterns
// of the published model, enumerations of AWS SDK for Go v1.62.4). Shapes of the same name share a row. The printed order
// of an enumeration is that of the SDK; AWS's own changes from release to release.
var (
	keyID            = bounds(1, 2048)
	accountID        = bounds(12, 12).matching(`[0-9]{12}`)
	aliasName        = bounds(1, 256).matching(`^[a-zA-Z0-9:/_-]+$`)
	attestation      = bounds(1, 262144)
	backingKeyID     = bounds(64, 64).matching(`^[a-f0-9]+$`)
	ciphertext       = bounds(1, 6144)
	clusterID        = bounds(19, 24).matching(`cluster-[2-7a-zA-Z]{11,16}`)
	description      = bounds(0, 8192)
	grantID          = bounds(1, 128)
	grantName        = bounds(1, 256).matching(`^[a-zA-Z0-9:/_-]+$`)
	grantToken       = bounds(1, 8192)
	grantTokens      = bounds(0, 10).unlogged()
	keyStorePassword = bounds(7, 32).sensitive()
	limit            = bounds(1, 1000)
	marker           = bounds(1, 1024).matching(`[\u0020-\u00FF]*`)
	materialNote     = bounds(0, 256).matching(`^[a-zA-Z0-9:/_\s.-]+$`).blankOK()
	numberOfBytes    = bounds(1, 1024)
	pendingWindow    = bounds(1, 365)
	plaintext        = bounds(1, 4096).sensitive()
	policy           = bounds(1, 131072).matching(`[\u0009\u000A\u000D\u0020-\u00FF]+`)
	policyName       = bounds(1, 128).matching(`[\w]+`)
	principal        = bounds(1, 256).matching(`^[\w+=,.@:/-]+$`)
	publicKey        = bounds(1, 8192)
	region           = bounds(1, 32).matching(`^([a-z]+-){2,3}\d+$`)
	rotationPeriod   = bounds(90, 2560)
	servicePrincipal = bounds(1, 256)
	sourceARN        = bounds(20, 512)
	storeID          = bounds(1, 64)
	storeName        = bounds(1, 256)
	tagKey           = bounds(1, 128)
	tagValue         = bounds(0, 256)
	trustAnchor      = bounds(1, 5000).unlogged()
	xksAccessKey     = bounds(20, 30).matching(`^[A-Z2-7]+$`).sensitive()
	xksEndpoint      = bounds(10, 128).matching(`^https://[a-zA-Z0-9.-]+$`)
	xksEndpointPort  = bounds(10, 128).matching(`^https://[a-zA-Z0-9.-]+(:[0-9]{1,5})?$`) // compatibility.xks_endpoint_ports
	xksKeyID         = bounds(1, 128).matching(`^[a-zA-Z0-9-_.]+$`)
	xksPath          = bounds(10, 128).matching(`^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`)
	xksSecret        = bounds(43, 64).matching(`^[a-zA-Z0-9\/+=]+$`).sensitive()
	xksVpcService    = bounds(20, 64).matching(`^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$`)
	xksVpcServiceNew = xksVpcService.blankOK() // UpdateCustomKeyStore takes it away with an empty value

	customerMasterKeySpec = oneOf("RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2")
	dataKeyPairSpec = oneOf("RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SM2", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024")
	dataKeySpec          = oneOf("AES_256", "AES_128")
	dryRunModifier       = oneOf("IGNORE_CIPHERTEXT")
	encapsulationAlg     = oneOf("ML_KEM")
	encryptionAlgorithm  = oneOf("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE")
	expirationModel      = oneOf("KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE")
	importType           = oneOf("NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL")
	includeKeyMaterial   = oneOf("ALL_KEY_MATERIAL", "ROTATIONS_ONLY")
	keyAgreementAlg      = oneOf("ECDH")
	keyEncryptionMech    = oneOf("RSAES_OAEP_SHA_256")
	macAlgorithm         = oneOf("HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512")
	messageType          = oneOf("RAW", "DIGEST", "EXTERNAL_MU")
	origin               = oneOf("AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE")
	storeType            = oneOf("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE")
	wrappingKeySpec      = oneOf("RSA_2048", "RSA_3072", "RSA_4096", "SM2")
	xksProxyConnectivity = oneOf("PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE")
	grantOperation       = oneOf("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
		"ReEncryptTo", "Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "DeriveSharedSecret", "Encapsulate", "Decapsulate")
	keySpec = oneOf("RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2", "ML_DSA_44",
		"ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024")
	keyUsage = oneOf("SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE")
	signing  = oneOf("RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256",
		"RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512",
		"SM2DSA", "ML_DSA_SHAKE_256", "ED25519_SHA_512", "ED25519_PH_SHA_512")
	wrappingAlgorithm = oneOf("RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1",
		"RSA_AES_KEY_WRAP_SHA_256", "SM2PKE")
)
