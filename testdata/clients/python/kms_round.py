"""What a program written with boto3 does with AWS KMS, done with an appliance: endpoint, Region and credential come from the
variables. Whatever can be is checked outside, with the cryptography package. The first thing that is wrong ends it."""

import datetime
import os
import time
import uuid

import boto3
from botocore.exceptions import ClientError, ParamValidationError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
kms = boto3.client("kms")


def create(**args):
    return kms.create_key(**args)["KeyMetadata"]


def raises(name, call, text=None, **args):
    """The call must end with the exception of that name: a class of the client's where the service's model has one."""
    try:
        call(**args)
    except ClientError as err:
        code, message = err.response["Error"]["Code"], err.response["Error"]["Message"]
        assert code == name, f"{call.__name__}: {err}"
        assert err.response["ResponseMetadata"]["HTTPStatusCode"] == 400, err
        assert err.response["ResponseMetadata"]["RequestId"], err
        if hasattr(kms.exceptions, name):
            assert isinstance(err, getattr(kms.exceptions, name)), type(err)
        if text is not None:
            assert text in message, f"{text!r} is not in {message!r}"
        return message
    raise AssertionError(f"{call.__name__} must end with {name}")


def symmetric():
    now = datetime.datetime.now(datetime.timezone.utc)
    key = create(Description="symmetric", Tags=[{"TagKey": "Owner", "TagValue": "boto3"}])
    assert abs(key["CreationDate"] - now) < datetime.timedelta(minutes=1), key
    assert (key["Enabled"], key["KeyState"], key["KeyManager"], key["Origin"]) == (True, "Enabled", "CUSTOMER", "AWS_KMS")
    assert key["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"] and key["MultiRegion"] is False
    for absent in ("DeletionDate", "ValidTo", "CustomKeyStoreId", "SigningAlgorithms", "MultiRegionConfiguration"):
        assert absent not in key, absent
    arn, context = key["Arn"], {"app": "billing", "day": "1"}
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"a secret", EncryptionContext=context)
    assert sealed["KeyId"] == arn and sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"a secret" and opened["KeyId"] == arn
    raises("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"app": "other"})
    raises("InvalidCiphertextException", kms.decrypt, CiphertextBlob=b"not one", KeyId=arn)

    other = create()["KeyId"]
    moved = kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=context, DestinationKeyId=other)
    assert moved["SourceKeyId"] == arn and moved["KeyId"].endswith(other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], KeyId=other)["Plaintext"] == b"a secret"
    raises("IncorrectKeyException", kms.decrypt, CiphertextBlob=moved["CiphertextBlob"], KeyId=arn)

    for size in ({"KeySpec": "AES_256"}, {"KeySpec": "AES_128"}, {"NumberOfBytes": 64}):
        data = kms.generate_data_key(KeyId=arn, EncryptionContext=context, **size)
        assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data["Plaintext"]
    blind = kms.generate_data_key_without_plaintext(KeyId=arn, KeySpec="AES_256")
    assert "Plaintext" not in blind
    data_key = kms.decrypt(CiphertextBlob=blind["CiphertextBlob"])["Plaintext"]
    nonce = os.urandom(12)
    assert AESGCM(data_key).decrypt(nonce, AESGCM(data_key).encrypt(nonce, b"x", None), None) == b"x"
    pair = kms.generate_data_key_pair(KeyId=arn, KeyPairSpec="ECC_NIST_P256")
    private = serialization.load_der_private_key(pair["PrivateKeyPlaintext"], None)
    public = serialization.load_der_public_key(pair["PublicKey"])
    assert private.public_key().public_numbers() == public.public_numbers()
    assert kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"] == pair["PrivateKeyPlaintext"]
    assert len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024
    return arn


def asymmetric_encryption():
    key = create(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["Arn"]
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    for name, algorithm in (("RSAES_OAEP_SHA_1", hashes.SHA1()), ("RSAES_OAEP_SHA_256", hashes.SHA256())):
        oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
        outside = public.encrypt(b"from outside", oaep)
        assert kms.decrypt(KeyId=key, CiphertextBlob=outside, EncryptionAlgorithm=name)["Plaintext"] == b"from outside"
        inside = kms.encrypt(KeyId=key, Plaintext=b"from inside", EncryptionAlgorithm=name)["CiphertextBlob"]
        assert kms.decrypt(KeyId=key, CiphertextBlob=inside, EncryptionAlgorithm=name)["Plaintext"] == b"from inside"


def verify_outside(public, algorithm, message, signature):
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, message)
        return
    digest = HASHES[algorithm[-3:]]
    if isinstance(public, rsa.RSAPublicKey):
        scheme = padding.PKCS1v15() if "PKCS1" in algorithm else padding.PSS(padding.MGF1(digest), digest.digest_size)
        public.verify(signature, message, scheme, digest)
    else:
        public.verify(signature, message, ec.ECDSA(digest))


def signatures():
    message = b"signed " * 100
    for spec in ("RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1",
                 "ECC_NIST_EDWARDS25519"):
        key = create(KeySpec=spec, KeyUsage="SIGN_VERIFY")
        assert key["KeySpec"] == key.get("CustomerMasterKeySpec", spec) == spec  # the old field has no Ed25519
        answer = kms.get_public_key(KeyId=key["KeyId"])
        assert answer["SigningAlgorithms"] == key["SigningAlgorithms"] and answer["KeyUsage"] == "SIGN_VERIFY"
        public = serialization.load_der_public_key(answer["PublicKey"])
        for algorithm in key["SigningAlgorithms"]:
            if algorithm == "ED25519_PH_SHA_512":
                continue  # no token signs it: docs/compatibility.md
            args = dict(KeyId=key["KeyId"], SigningAlgorithm=algorithm)
            signature = kms.sign(Message=message, MessageType="RAW", **args)["Signature"]
            verify_outside(public, algorithm, message, signature)
            assert kms.verify(Message=message, Signature=signature, **args)["SignatureValid"] is True
            raises("KMSInvalidSignatureException", kms.verify, Message=b"another", Signature=signature, **args)
            if not spec.startswith("ECC_NIST_EDWARDS"):
                digest = hashes.Hash(HASHES[algorithm[-3:]])
                digest.update(message)
                digested = kms.sign(Message=digest.finalize(), MessageType="DIGEST", **args)["Signature"]
                verify_outside(public, algorithm, message, digested)
    key = create(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyId"]
    raises("InvalidKeyUsageException", kms.encrypt, KeyId=key, Plaintext=b"x")
    raises("ValidationException", kms.sign, KeyId=key, Message=b"x" * 4097, SigningAlgorithm="ECDSA_SHA_256")
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    raises("UnsupportedOperationException", kms.enable_key_rotation, KeyId=key)


def macs():
    for bits in ("224", "256", "384", "512"):
        key, algorithm = create(KeySpec="HMAC_" + bits, KeyUsage="GENERATE_VERIFY_MAC")["KeyId"], "HMAC_SHA_" + bits
        mac = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm=algorithm)["Mac"]
        assert len(mac) * 8 == int(bits)
        assert kms.verify_mac(KeyId=key, Message=b"m", MacAlgorithm=algorithm, Mac=mac)["MacValid"] is True
        raises("KMSInvalidMacException", kms.verify_mac, KeyId=key, Message=b"n", MacAlgorithm=algorithm, Mac=mac)


def agreement():
    key = create(KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")["KeyId"]
    ours = ec.generate_private_key(ec.SECP384R1())
    theirs = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    public = ours.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    shared = kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=public)["SharedSecret"]
    assert shared == ours.exchange(ec.ECDH(), theirs)


def imported():
    key = create(Origin="EXTERNAL", Description="imported")
    assert key["KeyState"] == "PendingImport" and key["Enabled"] is False
    arn = key["Arn"]
    raises("KMSInvalidStateException", kms.encrypt, text=f"{arn} is pending import.", KeyId=arn, Plaintext=b"x")
    material = os.urandom(32)
    for expires in (None, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)):
        given = kms.get_parameters_for_import(KeyId=arn, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_4096")
        wrap = serialization.load_der_public_key(given["PublicKey"])
        wrapped = wrap.encrypt(material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        args = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        if expires:
            args = {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": expires}
        kms.import_key_material(KeyId=arn, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **args)
        now = kms.describe_key(KeyId=arn)["KeyMetadata"]
        assert now["KeyState"] == "Enabled" and now["ExpirationModel"] == args["ExpirationModel"], now
        if expires:
            assert abs(now["ValidTo"] - expires) < datetime.timedelta(seconds=1), now
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    kms.delete_imported_key_material(KeyId=arn)
    raises("KMSInvalidStateException", kms.decrypt, text="is pending import.", CiphertextBlob=sealed)
    raises("InvalidImportTokenException", kms.import_key_material, KeyId=arn, ImportToken=b"none", EncryptedKeyMaterial=b"x" * 512,
           ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")

    mac = create(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    given = kms.get_parameters_for_import(KeyId=mac, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    wrapped = serialization.load_der_public_key(given["PublicKey"]).encrypt(
        material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    kms.import_key_material(KeyId=mac, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped,
                            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    outside = hmac.HMAC(material, hashes.SHA256())
    outside.update(b"m")
    assert kms.generate_mac(KeyId=mac, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"] == outside.finalize()


def grants(arn, me):
    made = [kms.create_grant(KeyId=arn, GranteePrincipal=me, RetiringPrincipal=me, Operations=["Encrypt", "Decrypt"],
                             Name=f"grant-{i}", Constraints={"EncryptionContextSubset": {"n": str(i)}}) for i in range(5)]
    again = kms.create_grant(KeyId=arn, GranteePrincipal=me, RetiringPrincipal=me, Operations=["Encrypt", "Decrypt"],
                             Name="grant-0", Constraints={"EncryptionContextSubset": {"n": "0"}})
    assert again["GrantId"] == made[0]["GrantId"]
    ids = {g["GrantId"] for g in made}
    pages = kms.get_paginator("list_grants").paginate(KeyId=arn, PaginationConfig={"PageSize": 2})
    seen = [g for page in pages for g in page["Grants"]]
    assert {g["GrantId"] for g in seen} == ids and len(seen) == 5, seen
    assert all(isinstance(g["CreationDate"], datetime.datetime) for g in seen)
    retirable = kms.list_retirable_grants(RetiringPrincipal=me, Limit=100)["Grants"]
    assert ids <= {g["GrantId"] for g in retirable}
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"n": "1"}, GrantTokens=[made[1]["GrantToken"]])
    assert sealed["KeyId"] == arn
    kms.retire_grant(GrantToken=made[0]["GrantToken"])
    kms.retire_grant(KeyId=arn, GrantId=made[1]["GrantId"])
    kms.revoke_grant(KeyId=arn, GrantId=made[2]["GrantId"])
    left = {g["GrantId"] for g in kms.list_grants(KeyId=arn)["Grants"]}
    assert left == {made[3]["GrantId"], made[4]["GrantId"]}, left
    raises("NotFoundException", kms.revoke_grant, KeyId=arn, GrantId=made[2]["GrantId"])


def names(arn):
    prefix = "alias/" + uuid.uuid4().hex
    for i in range(7):
        kms.create_alias(AliasName=f"{prefix}-{i}", TargetKeyId=arn)
    raises("AlreadyExistsException", kms.create_alias, text="already exists", AliasName=prefix + "-0", TargetKeyId=arn)
    raises("ValidationException", kms.create_alias, text="contains invalid characters for an alias", AliasName="alias/", TargetKeyId=arn)
    found = [a["AliasName"] for page in kms.get_paginator("list_aliases").paginate(KeyId=arn, PaginationConfig={"PageSize": 3})
             for a in page["Aliases"]]
    assert sorted(found) == [f"{prefix}-{i}" for i in range(7)], found
    assert kms.describe_key(KeyId=prefix + "-0")["KeyMetadata"]["Arn"] == arn
    other = create()["KeyId"]
    kms.update_alias(AliasName=prefix + "-0", TargetKeyId=other)
    assert kms.describe_key(KeyId=prefix + "-0")["KeyMetadata"]["KeyId"] == other
    for i in range(7):
        kms.delete_alias(AliasName=f"{prefix}-{i}")
    raises("NotFoundException", kms.describe_key, KeyId=prefix + "-0")

    kms.tag_resource(KeyId=arn, Tags=[{"TagKey": f"k{i}", "TagValue": str(i)} for i in range(6)])
    tags = [t["TagKey"] for page in kms.get_paginator("list_resource_tags").paginate(KeyId=arn, PaginationConfig={"PageSize": 2})
            for t in page["Tags"]]
    assert sorted(tags) == ["Owner"] + [f"k{i}" for i in range(6)], tags
    kms.untag_resource(KeyId=arn, TagKeys=["k0", "k1"])
    assert len(kms.list_resource_tags(KeyId=arn)["Tags"]) == 5
    raises("TagException", kms.tag_resource, KeyId=arn, Tags=[{"TagKey": "aws:x", "TagValue": ""}])


def policies(arn):
    assert kms.list_key_policies(KeyId=arn)["PolicyNames"] == ["default"]
    text = kms.get_key_policy(KeyId=arn)["Policy"]
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=text)
    assert kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"] == text
    raises("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=arn, Policy='{"Version":"2012-10-17"}')
    kms.update_key_description(KeyId=arn, Description="other")
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["Description"] == "other"


def rotation():
    key = create()["KeyId"]
    first = kms.encrypt(KeyId=key, Plaintext=b"before")["CiphertextBlob"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
    status = kms.get_key_rotation_status(KeyId=key)
    assert status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 180
    assert isinstance(status["NextRotationDate"], datetime.datetime)
    for _ in range(3):
        kms.rotate_key_on_demand(KeyId=key)
    rotations = [r for page in kms.get_paginator("list_key_rotations").paginate(KeyId=key, PaginationConfig={"PageSize": 2})
                 for r in page["Rotations"]]
    assert [r["RotationType"] for r in rotations] == ["ON_DEMAND"] * 3, rotations
    assert kms.decrypt(CiphertextBlob=first)["Plaintext"] == b"before"
    kms.disable_key_rotation(KeyId=key)


def states():
    key = create()
    arn = key["Arn"]
    kms.disable_key(KeyId=arn)
    assert raises("DisabledException", kms.encrypt, KeyId=arn, Plaintext=b"x") == f"{arn} is disabled."
    kms.enable_key(KeyId=arn)
    planned = kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert planned["KeyState"] == "PendingDeletion" and planned["PendingWindowInDays"] == 7
    assert isinstance(planned["DeletionDate"], datetime.datetime)
    assert raises("KMSInvalidStateException", kms.encrypt, KeyId=arn, Plaintext=b"x") == f"{arn} is pending deletion."
    assert kms.cancel_key_deletion(KeyId=arn)["KeyId"] == arn
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Disabled"
    gone = str(uuid.uuid4())
    raises("NotFoundException", kms.describe_key, text=f"key/{gone}' does not exist", KeyId=gone)
    raises("InvalidArnException", kms.describe_key, KeyId="arn:aws:kms:us-east-1:1:key")
    raises("ValidationException", kms.schedule_key_deletion, KeyId=arn, PendingWindowInDays=3)
    raises("ValidationException", kms.generate_data_key, KeyId=arn)
    raises("DryRunOperationException", kms.generate_mac, DryRun=True, Message=b"m",
           MacAlgorithm="HMAC_SHA_256", KeyId=create(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"])
    try:
        kms.encrypt(KeyId=arn)
    except ParamValidationError:
        pass
    wrong = boto3.client("kms", aws_secret_access_key="x" * 40, aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
    raises("InvalidSignatureException", wrong.list_keys)
    stranger = boto3.client("kms", aws_secret_access_key="x" * 40, aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
    raises("UnrecognizedClientException", stranger.list_keys)


def listing():
    made = {create()["KeyId"] for _ in range(5)}
    listed = [k["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 4}) for k in page["Keys"]]
    assert made <= set(listed) and len(listed) == len(set(listed))
    token = kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 4, "MaxItems": 6}).build_full_result()["NextToken"]
    rest = kms.get_paginator("list_keys").paginate(PaginationConfig={"StartingToken": token}).build_full_result()["Keys"]
    assert len(rest) == len(listed) - 6
    raises("InvalidMarkerException", kms.list_keys, Marker="x")
    assert kms.waiter_names == []


def regions():
    primary = create(MultiRegion=True, Description="everywhere")
    assert primary["KeyId"].startswith("mrk-") and primary["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"
    west = boto3.client("kms", region_name="eu-west-1")
    replica = kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")["ReplicaKeyMetadata"]
    assert replica["Arn"].startswith("arn:aws:kms:eu-west-1:")
    until(lambda: west.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled")
    sealed = kms.encrypt(KeyId=primary["KeyId"], Plaintext=b"here")["CiphertextBlob"]
    assert west.decrypt(CiphertextBlob=sealed, KeyId=primary["KeyId"])["Plaintext"] == b"here"


def custom_store():
    args = dict(CustomKeyStoreName="store-" + uuid.uuid4().hex[:8], CloudHsmClusterId=os.environ["STRONGROOM_CLUSTER_ID"],
                KeyStorePassword=os.environ["STRONGROOM_KMSUSER_PASSWORD"])
    with open(os.environ["STRONGROOM_TRUST_ANCHOR"], encoding="ascii") as pem:
        store = kms.create_custom_key_store(TrustAnchorCertificate=pem.read(), **args)["CustomKeyStoreId"]
    raises("CustomKeyStoreInvalidStateException", create, CustomKeyStoreId=store, Origin="AWS_CLOUDHSM")
    kms.connect_custom_key_store(CustomKeyStoreId=store)
    until(lambda: described(store)["ConnectionState"] == "CONNECTED")
    key = create(CustomKeyStoreId=store, Origin="AWS_CLOUDHSM")
    assert key["CloudHsmClusterId"] == os.environ["STRONGROOM_CLUSTER_ID"]
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"kept"
    kms.disconnect_custom_key_store(CustomKeyStoreId=store)
    until(lambda: described(store)["ConnectionState"] == "DISCONNECTED")
    raises("KMSInvalidStateException", kms.decrypt, CiphertextBlob=sealed)
    raises("CustomKeyStoreHasCMKsException", kms.delete_custom_key_store, CustomKeyStoreId=store)


def described(store):
    pages = kms.get_paginator("describe_custom_key_stores").paginate(CustomKeyStoreId=store)
    return [s for page in pages for s in page["CustomKeyStores"]][0]


def until(holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about in a minute")


def main():
    arn = symmetric()
    grants(arn, "arn:aws:iam::%s:root" % arn.split(":")[4])
    names(arn)
    policies(arn)
    for part in (asymmetric_encryption, signatures, macs, agreement, imported, rotation, states, listing, regions, custom_store):
        part()
        print("ok", part.__name__)


if __name__ == "__main__":
    main()
