"""The AWS Encryption SDK for Python with keys of an appliance: endpoint, Region and credential come from the variables."""

import os

import aws_encryption_sdk
import boto3
from aws_encryption_sdk import CommitmentPolicy, StrictAwsKmsMasterKeyProvider
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError

kms = boto3.client("kms")
client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def provider(*arns):
    return StrictAwsKmsMasterKeyProvider(key_ids=list(arns))


def main():
    first, second = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    message, context = os.urandom(100_000), {"order": "7"}
    sealed, header = client.encrypt(source=message, key_provider=provider(first, second), encryption_context=context)
    assert context.items() <= header.encryption_context.items() and "aws-crypto-public-key" in header.encryption_context
    for arn in (first, second):
        opened, header = client.decrypt(source=sealed, key_provider=provider(arn))
        assert opened == message and context.items() <= header.encryption_context.items()
    kms.disable_key(KeyId=first)
    assert client.decrypt(source=sealed, key_provider=provider(first, second))[0] == message
    kms.disable_key(KeyId=second)
    try:
        client.decrypt(source=sealed, key_provider=provider(first, second))
    except AWSEncryptionSDKClientError:
        print("ok encrypt, decrypt by each of two keys, not by disabled ones")
        return
    raise AssertionError("disabled keys must not decrypt")


if __name__ == "__main__":
    main()
