package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

func encrypt(ctx context.Context, c *call, r *shape.EncryptRequest) (response, error) {
	out, err := c.s.Crypt.Encrypt(ctx, c.caller, &crypt.EncryptInput{
		KeyID: r.KeyID, Plaintext: r.Plaintext, EncryptionContext: r.EncryptionContext,
		EncryptionAlgorithm: r.EncryptionAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	return &shape.EncryptResponse{CiphertextBlob: out.CiphertextBlob, KeyID: out.KeyARN, EncryptionAlgorithm: out.EncryptionAlgorithm}, nil
}

func decrypt(ctx context.Context, c *call, r *shape.DecryptRequest) (response, error) {
	if err := refuseRecipient(&r.Recipient); err != nil {
		return nil, err
	}
	out, err := c.s.Crypt.Decrypt(ctx, c.caller, &crypt.DecryptInput{
		CiphertextBlob: r.CiphertextBlob, KeyID: r.KeyID, EncryptionContext: r.EncryptionContext,
		EncryptionAlgorithm: r.EncryptionAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun, DryRunModifiers: r.DryRunModifiers,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	c.secret = out.Plaintext
	return &shape.DecryptResponse{KeyID: out.KeyARN, Plaintext: out.Plaintext, EncryptionAlgorithm: out.EncryptionAlgorithm,
		KeyMaterialID: out.KeyMaterialID}, nil
}

func reEncrypt(ctx context.Context, c *call, r *shape.ReEncryptRequest) (response, error) {
	out, err := c.s.Crypt.ReEncrypt(ctx, c.caller, &crypt.ReEncryptInput{
		CiphertextBlob: r.CiphertextBlob, SourceKeyID: r.SourceKeyID, SourceEncryptionContext: r.SourceEncryptionContext,
		SourceEncryptionAlgorithm: r.SourceEncryptionAlgorithm, DestinationKeyID: r.DestinationKeyID,
		DestinationEncryptionContext:   r.DestinationEncryptionContext,
		DestinationEncryptionAlgorithm: r.DestinationEncryptionAlgorithm,
		GrantTokens:                    r.GrantTokens, DryRun: r.DryRun, DryRunModifiers: r.DryRunModifiers,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.SourceKeyARN)
	c.about(out.DestinationKeyARN)
	return &shape.ReEncryptResponse{
		CiphertextBlob: out.CiphertextBlob, SourceKeyID: out.SourceKeyARN, KeyID: out.DestinationKeyARN,
		SourceEncryptionAlgorithm: out.SourceEncryptionAlgorithm, DestinationEncryptionAlgorithm: out.DestinationEncryptionAlgorithm,
		SourceKeyMaterialID: out.SourceKeyMaterialID, DestinationKeyMaterialID: out.DestinationKeyMaterialID,
	}, nil
}

func generateDataKey(ctx context.Context, c *call, r *shape.GenerateDataKeyRequest) (response, error) {
	if err := refuseRecipient(&r.Recipient); err != nil {
		return nil, err
	}
	out, err := c.s.Crypt.GenerateDataKey(ctx, c.caller, &crypt.DataKeyInput{
		KeyID: r.KeyID, KeySpec: r.KeySpec, NumberOfBytes: r.NumberOfBytes, EncryptionContext: r.EncryptionContext,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	return c.dataKey(out, err)
}

func generateDataKeyWithoutPlaintext(ctx context.Context, c *call, r *shape.GenerateDataKeyWithoutPlaintextRequest) (response, error) {
	out, err := c.s.Crypt.GenerateDataKeyWithoutPlaintext(ctx, c.caller, &crypt.DataKeyInput{
		KeyID: r.KeyID, KeySpec: r.KeySpec, NumberOfBytes: r.NumberOfBytes, EncryptionContext: r.EncryptionContext,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	return c.dataKey(out, err)
}

func (c *call) dataKey(out *crypt.DataKeyOutput, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	c.secret = out.Plaintext
	return &shape.DataKeyResponse{CiphertextBlob: out.CiphertextBlob, Plaintext: out.Plaintext, KeyID: out.KeyARN,
		KeyMaterialID: out.KeyMaterialID}, nil
}

func generateRandom(ctx context.Context, c *call, r *shape.GenerateRandomRequest) (response, error) {
	if err := refuseRecipient(&r.Recipient); err != nil {
		return nil, err
	}
	out, err := c.s.Crypt.GenerateRandom(ctx, c.caller, &crypt.RandomInput{
		NumberOfBytes: r.NumberOfBytes, CustomKeyStoreID: r.CustomKeyStoreID,
	})
	if err != nil {
		return nil, err
	}
	c.secret = out.Plaintext
	return &shape.RandomResponse{Plaintext: out.Plaintext}, nil
}

// refuseRecipient refuses answers for AWS Nitro enclaves, which an appliance has no means to attest.
func refuseRecipient(r *shape.Recipient) error {
	if r.Present {
		return keystore.Faultf(keystore.KindUnsupportedOperation, "Recipient is not supported.")
	}
	return nil
}
