// What a program written with the AWS SDK for JavaScript v3 does with AWS KMS, done with an appliance: endpoint, Region and
// credential come from the variables. Whatever can be is checked outside, with Node's own cryptography.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as aws from "@aws-sdk/client-kms";

const kms = new aws.KMS({});
const bytes = (text) => new TextEncoder().encode(text);
const same = (got, want) => assert.deepEqual(Buffer.from(got), Buffer.from(want));
const create = async (args = {}) => (await kms.createKey(args)).KeyMetadata;
const publicKey = (der) => crypto.createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });

// The promise must be refused with that exception of the SDK's.
async function refused(promise, exception, text) {
  const err = await promise.then(() => assert.fail(`must end with ${exception}`), (e) => e);
  assert.equal(err.name, exception, `${err}`);
  assert.ok(err instanceof aws.KMSServiceException, `${err}`);
  if (aws[exception]) assert.ok(err instanceof aws[exception], `${err} is no ${exception}`);
  assert.equal(err.$fault, "client");
  assert.equal(err.$metadata.httpStatusCode, 400);
  assert.match(err.$metadata.requestId, /^[0-9a-f-]{36}$/);
  if (text) assert.ok(err.message.includes(text), err.message);
}

async function until(holds) {
  for (let i = 0; i < 600; i++) {
    if (await holds()) return;
    await sleep(100);
  }
  assert.fail("it did not come about in a minute");
}

async function symmetric() {
  const key = await create({ Description: "symmetric", Tags: [{ TagKey: "Owner", TagValue: "js" }] });
  assert.ok(key.CreationDate instanceof Date && Math.abs(key.CreationDate - Date.now()) < 60_000);
  assert.deepEqual([key.Enabled, key.KeyState, key.Origin, key.MultiRegion], [true, "Enabled", "AWS_KMS", false]);
  for (const absent of ["DeletionDate", "ValidTo", "SigningAlgorithms", "CustomKeyStoreId"]) assert.equal(key[absent], undefined);
  const EncryptionContext = { app: "billing", größe: "é€😀" };
  const sealed = await kms.encrypt({ KeyId: key.Arn, Plaintext: bytes("a secret"), EncryptionContext });
  same((await kms.decrypt({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext })).Plaintext, "a secret");
  await refused(kms.decrypt({ CiphertextBlob: sealed.CiphertextBlob }), "InvalidCiphertextException");
  const other = await create();
  const moved = await kms.reEncrypt({ CiphertextBlob: sealed.CiphertextBlob, SourceEncryptionContext: EncryptionContext, DestinationKeyId: other.KeyId });
  same((await kms.decrypt({ CiphertextBlob: moved.CiphertextBlob })).Plaintext, "a secret");
  await refused(kms.decrypt({ CiphertextBlob: moved.CiphertextBlob, KeyId: key.KeyId }), "IncorrectKeyException");
  const data = await kms.generateDataKey({ KeyId: key.Arn, KeySpec: "AES_256" });
  same((await kms.decrypt({ CiphertextBlob: data.CiphertextBlob })).Plaintext, data.Plaintext);
  const pair = await kms.generateDataKeyPair({ KeyId: key.Arn, KeyPairSpec: "RSA_2048" });
  const made = crypto.createPrivateKey({ key: Buffer.from(pair.PrivateKeyPlaintext), format: "der", type: "pkcs8" });
  same(crypto.createPublicKey(made).export({ format: "der", type: "spki" }), pair.PublicKey);
  same((await kms.decrypt({ CiphertextBlob: pair.PrivateKeyCiphertextBlob })).Plaintext, pair.PrivateKeyPlaintext);
  assert.equal((await kms.generateRandom({ NumberOfBytes: 1024 })).Plaintext.length, 1024);
  return key;
}

async function asymmetricEncryption() {
  const key = await create({ KeySpec: "RSA_3072", KeyUsage: "ENCRYPT_DECRYPT" });
  const pub = publicKey((await kms.getPublicKey({ KeyId: key.KeyId })).PublicKey);
  for (const hash of ["1", "256"]) {
    const args = { KeyId: key.KeyId, EncryptionAlgorithm: `RSAES_OAEP_SHA_${hash}` };
    const outside = crypto.publicEncrypt({ key: pub, oaepHash: `sha${hash}`, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING }, bytes("outside"));
    same((await kms.decrypt({ ...args, CiphertextBlob: outside })).Plaintext, "outside");
    const inside = await kms.encrypt({ ...args, Plaintext: bytes("inside") });
    same((await kms.decrypt({ ...args, CiphertextBlob: inside.CiphertextBlob })).Plaintext, "inside");
  }
}

async function signatures() {
  const message = bytes("signed ".repeat(100));
  for (const KeySpec of ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"]) {
    const key = await create({ KeySpec, KeyUsage: "SIGN_VERIFY" });
    const pub = publicKey((await kms.getPublicKey({ KeyId: key.KeyId })).PublicKey);
    for (const SigningAlgorithm of key.SigningAlgorithms.filter((a) => a !== "ED25519_PH_SHA_512")) { // no token signs that one
      const args = { KeyId: key.KeyId, SigningAlgorithm };
      const { Signature } = await kms.sign({ ...args, Message: message });
      const pss = SigningAlgorithm.includes("PSS");
      const how = pss ? { key: pub, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST } : pub;
      const hash = KeySpec.includes("EDWARDS") ? null : `sha${SigningAlgorithm.slice(-3)}`;
      assert.ok(crypto.verify(hash, message, how, Signature), SigningAlgorithm);
      assert.equal((await kms.verify({ ...args, Message: message, Signature })).SignatureValid, true);
      await refused(kms.verify({ ...args, Message: bytes("another"), Signature }), "KMSInvalidSignatureException");
    }
    await refused(kms.encrypt({ KeyId: key.KeyId, Plaintext: bytes("x") }), "InvalidKeyUsageException");
    assert.equal((await kms.getKeyRotationStatus({ KeyId: key.KeyId })).KeyRotationEnabled, false);
  }
}

async function macsAndAgreement() {
  const mac = await create({ KeySpec: "HMAC_512", KeyUsage: "GENERATE_VERIFY_MAC" });
  const args = { KeyId: mac.KeyId, Message: bytes("m"), MacAlgorithm: "HMAC_SHA_512" };
  const { Mac } = await kms.generateMac(args);
  assert.equal((await kms.verifyMac({ ...args, Mac })).MacValid, true);
  await refused(kms.verifyMac({ ...args, Mac: Mac.slice(1) }), "KMSInvalidMacException");
  await refused(kms.generateMac({ ...args, DryRun: true }), "DryRunOperationException");

  const key = await create({ KeySpec: "ECC_NIST_P521", KeyUsage: "KEY_AGREEMENT" });
  const ours = crypto.generateKeyPairSync("ec", { namedCurve: "secp521r1" });
  const theirs = publicKey((await kms.getPublicKey({ KeyId: key.KeyId })).PublicKey);
  const shared = await kms.deriveSharedSecret({ KeyId: key.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: ours.publicKey.export({ format: "der", type: "spki" }) });
  same(shared.SharedSecret, crypto.diffieHellman({ privateKey: ours.privateKey, publicKey: theirs }));
}

async function imported() {
  const key = await create({ Origin: "EXTERNAL" });
  assert.equal(key.KeyState, "PendingImport");
  await refused(kms.encrypt({ KeyId: key.Arn, Plaintext: bytes("x") }), "KMSInvalidStateException", `${key.Arn} is pending import.`);
  const given = await kms.getParametersForImport({ KeyId: key.Arn, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" });
  assert.ok(given.ParametersValidTo > new Date());
  const EncryptedKeyMaterial = crypto.publicEncrypt({ key: publicKey(given.PublicKey), oaepHash: "sha256", padding: crypto.constants.RSA_PKCS1_OAEP_PADDING }, crypto.randomBytes(32));
  const ValidTo = new Date(Math.floor(Date.now() / 1000) * 1000 + 86_400_000);
  await kms.importKeyMaterial({ KeyId: key.Arn, ImportToken: given.ImportToken, EncryptedKeyMaterial, ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo });
  const now = (await kms.describeKey({ KeyId: key.Arn })).KeyMetadata;
  assert.deepEqual([now.KeyState, now.ValidTo], ["Enabled", ValidTo]);
  await refused(kms.importKeyMaterial({ KeyId: key.Arn, ImportToken: bytes("none"), EncryptedKeyMaterial, ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE" }), "InvalidImportTokenException");
}

async function grants({ Arn, KeyId }) {
  const me = `arn:aws:iam::${Arn.split(":")[4]}:root`;
  const made = [];
  for (let i = 0; i < 5; i++) {
    made.push(await kms.createGrant({ KeyId, Name: `g${i}`, GranteePrincipal: me, RetiringPrincipal: me, Operations: ["Encrypt"], Constraints: { EncryptionContextEquals: { n: `${i}` } } }));
  }
  const seen = [];
  for await (const page of aws.paginateListGrants({ client: kms, pageSize: 2 }, { KeyId })) seen.push(...page.Grants.map((g) => g.GrantId));
  assert.deepEqual(seen.sort(), made.map((g) => g.GrantId).sort());
  await kms.retireGrant({ GrantToken: made[0].GrantToken });
  await kms.revokeGrant({ KeyId, GrantId: made[1].GrantId });
  assert.equal((await kms.listGrants({ KeyId })).Grants.length, 3);
  await refused(kms.retireGrant({ KeyId: Arn, GrantId: made[0].GrantId }), "NotFoundException");
}

async function names({ Arn, KeyId }) {
  const prefix = `alias/${crypto.randomUUID()}`;
  const wanted = [1, 2, 3, 4, 5].map((i) => `${prefix}-${i}`);
  for (const AliasName of wanted) await kms.createAlias({ AliasName, TargetKeyId: KeyId });
  await refused(kms.createAlias({ AliasName: wanted[0], TargetKeyId: KeyId }), "AlreadyExistsException", "already exists");
  const found = [];
  for await (const page of aws.paginateListAliases({ client: kms, pageSize: 2 }, { KeyId })) found.push(...page.Aliases.map((a) => a.AliasName));
  assert.deepEqual(found.sort(), wanted);
  assert.equal((await kms.describeKey({ KeyId: wanted[0] })).KeyMetadata.Arn, Arn);
  await kms.tagResource({ KeyId, Tags: [{ TagKey: "a", TagValue: "" }, { TagKey: "b", TagValue: "2" }] });
  const tags = [];
  for await (const page of aws.paginateListResourceTags({ client: kms, pageSize: 1 }, { KeyId })) tags.push(...page.Tags.map((t) => t.TagKey));
  assert.deepEqual(tags.sort(), ["Owner", "a", "b"]);
  const { Policy } = await kms.getKeyPolicy({ KeyId });
  await kms.putKeyPolicy({ KeyId, Policy });
  await refused(kms.putKeyPolicy({ KeyId, Policy: "{" }), "MalformedPolicyDocumentException");
}

async function states() {
  const key = await create();
  await kms.disableKey({ KeyId: key.KeyId });
  await refused(kms.encrypt({ KeyId: key.KeyId, Plaintext: bytes("x") }), "DisabledException", `${key.Arn} is disabled.`);
  const planned = await kms.scheduleKeyDeletion({ KeyId: key.KeyId, PendingWindowInDays: 7 });
  assert.ok(planned.DeletionDate instanceof Date);
  await refused(kms.enableKey({ KeyId: key.KeyId }), "KMSInvalidStateException", `${key.Arn} is pending deletion.`);
  await refused(kms.describeKey({ KeyId: crypto.randomUUID() }), "NotFoundException", "does not exist");
  await refused(kms.describeKey({ KeyId: "arn:aws:kms:us-east-1:1:key" }), "InvalidArnException");
  await refused(kms.generateDataKey({ KeyId: key.KeyId }), "ValidationException");
  await refused(new aws.KMS({ credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "x" } }).listKeys({}), "InvalidSignatureException");

  const rotating = await create();
  await kms.enableKeyRotation({ KeyId: rotating.KeyId, RotationPeriodInDays: 90 });
  await kms.rotateKeyOnDemand({ KeyId: rotating.KeyId });
  const status = await kms.getKeyRotationStatus({ KeyId: rotating.KeyId });
  assert.ok(status.NextRotationDate > new Date());
  const rotations = [];
  for await (const page of aws.paginateListKeyRotations({ client: kms }, { KeyId: rotating.KeyId })) rotations.push(...page.Rotations);
  assert.equal(rotations[0].RotationType, "ON_DEMAND");
  const listed = [];
  for await (const page of aws.paginateListKeys({ client: kms, pageSize: 3 }, {})) listed.push(...page.Keys.map((k) => k.KeyId));
  assert.ok(listed.includes(rotating.KeyId) && new Set(listed).size === listed.length);
  assert.deepEqual(Object.keys(aws).filter((name) => name.startsWith("waitUntil")), []);
}

async function regions() {
  const { KeyId } = await create({ MultiRegion: true });
  const west = new aws.KMS({ region: "eu-west-1" });
  await kms.replicateKey({ KeyId, ReplicaRegion: "eu-west-1" });
  await until(async () => (await west.describeKey({ KeyId })).KeyMetadata.KeyState === "Enabled");
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: bytes("here") });
  same((await west.decrypt({ CiphertextBlob })).Plaintext, "here");
}

async function customStore() {
  const { CustomKeyStoreId } = await kms.createCustomKeyStore({
    CustomKeyStoreName: `store-${crypto.randomUUID()}`, CustomKeyStoreType: "EXTERNAL_KEY_STORE", XksProxyConnectivity: "PUBLIC_ENDPOINT",
    XksProxyUriEndpoint: process.env.STRONGROOM_XKS_URI, XksProxyUriPath: process.env.STRONGROOM_XKS_PATH,
    XksProxyAuthenticationCredential: { AccessKeyId: process.env.STRONGROOM_XKS_ACCESS_KEY, RawSecretAccessKey: process.env.STRONGROOM_XKS_SECRET_KEY } });
  await kms.connectCustomKeyStore({ CustomKeyStoreId });
  const described = async () => (await kms.describeCustomKeyStores({ CustomKeyStoreId })).CustomKeyStores[0];
  await until(async () => (await described()).ConnectionState === "CONNECTED");
  const XksKeyId = process.env.STRONGROOM_XKS_KEY_IDS.split(",")[0];
  const key = await create({ CustomKeyStoreId, Origin: "EXTERNAL_KEY_STORE", XksKeyId });
  assert.deepEqual(key.XksKeyConfiguration, { Id: XksKeyId });
  const { CiphertextBlob } = await kms.encrypt({ KeyId: key.KeyId, Plaintext: bytes("kept") });
  same((await kms.decrypt({ CiphertextBlob })).Plaintext, "kept");
  await refused(create({ CustomKeyStoreId, Origin: "EXTERNAL_KEY_STORE", XksKeyId }), "XksKeyAlreadyInUseException");
  await kms.disconnectCustomKeyStore({ CustomKeyStoreId });
  await until(async () => (await described()).ConnectionState === "DISCONNECTED");
  await refused(kms.decrypt({ CiphertextBlob }), "KMSInvalidStateException");
}

assert.ok(fs.existsSync(process.env.STRONGROOM_DIR), "the variables of an appliance are set");
const key = await symmetric();
await grants(key);
await names(key);
for (const part of [asymmetricEncryption, signatures, macsAndAgreement, imported, states, regions, customStore]) {
  await part();
  console.log("ok", part.name);
}
