// The AWS Encryption SDK for JavaScript with keys of an appliance: endpoint, Region and credential come from the variables.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { KMS } from "@aws-sdk/client-kms";
import { buildClient, CommitmentPolicy, KmsKeyringNode } from "@aws-crypto/client-node";

const kms = new KMS({});
const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const create = async () => (await kms.createKey({})).KeyMetadata.Arn;

const [first, second] = [await create(), await create()];
const message = crypto.randomBytes(100_000);
const { result } = await encrypt(new KmsKeyringNode({ generatorKeyId: first, keyIds: [second] }), message, { encryptionContext: { order: "7" } });
for (const arn of [first, second]) {
  const { plaintext, messageHeader } = await decrypt(new KmsKeyringNode({ keyIds: [arn] }), result);
  assert.deepEqual(plaintext, message);
  assert.equal(messageHeader.encryptionContext.order, "7");
}
await kms.disableKey({ KeyId: first });
await assert.rejects(decrypt(new KmsKeyringNode({ keyIds: [first] }), result));
assert.deepEqual((await decrypt(new KmsKeyringNode({ keyIds: [first, second] }), result)).plaintext, message);
console.log("ok encrypt, decrypt by each of two keys, not by a disabled one");
