"""The AWS Encryption CLI with keys of an appliance: it is told the keys' ARNs, all else comes from the variables."""

import os
import subprocess
import sys
import tempfile

import boto3

kms = boto3.client("kms")
program = os.path.join(os.path.dirname(sys.executable), "aws-encryption-cli")


def cli(*args):
    done = subprocess.run([program, "--suppress-metadata", *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def main():
    first, second = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    message = os.urandom(100_000)
    with tempfile.TemporaryDirectory() as work:
        plain, sealed, opened = (os.path.join(work, name) for name in ("plain", "sealed", "opened"))
        with open(plain, "wb") as file:
            file.write(message)
        code, err = cli("--encrypt", "--input", plain, "--output", sealed, "--wrapping-keys", "key=" + first, "key=" + second,
                        "--encryption-context", "app=billing")
        assert code == 0, err
        for arn in (first, second):
            code, err = cli("--decrypt", "--input", sealed, "--output", opened, "--wrapping-keys", "key=" + arn,
                            "--encryption-context", "app=billing")
            assert code == 0, err
            with open(opened, "rb") as file:
                assert file.read() == message
            os.remove(opened)
        kms.disable_key(KeyId=first)
        code, err = cli("--decrypt", "--input", sealed, "--output", opened, "--wrapping-keys", "key=" + first)
        assert code != 0 and not os.path.exists(opened), err
    print("ok encrypt, decrypt by each of two keys, not by a disabled one")


if __name__ == "__main__":
    main()
