package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// Asymmetric is the part of Crypt that is about asymmetric and HMAC keys, and about data key pairs.
type Asymmetric interface {
	Sign(ctx context.Context, c *keystore.Caller, in *crypt.SignInput) (*crypt.SignOutput, error)
	Verify(ctx context.Context, c *keystore.Caller, in *crypt.VerifyInput) (*crypt.VerifyOutput, error)
	GenerateMac(ctx context.Context, c *keystore.Caller, in *crypt.MacInput) (*crypt.MacOutput, error)
	VerifyMac(ctx context.Context, c *keystore.Caller, in *crypt.VerifyMacInput) (*crypt.VerifyMacOutput, error)
	GetPublicKey(ctx context.Context, c *keystore.Caller, in *crypt.PublicKeyInput) (*crypt.PublicKeyOutput, error)
	DeriveSharedSecret(ctx context.Context, c *keystore.Caller, in *crypt.DeriveSharedSecretInput) (*crypt.DeriveSharedSecretOutput, error)
	Encapsulate(ctx context.Context, c *keystore.Caller, in *crypt.EncapsulateInput) (*crypt.EncapsulateOutput, error)
	Decapsulate(ctx context.Context, c *keystore.Caller, in *crypt.DecapsulateInput) (*crypt.EncapsulateOutput, error)
	GenerateDataKeyPair(ctx context.Context, c *keystore.Caller, in *crypt.DataKeyPairInput) (*crypt.DataKeyPairOutput, error)
	GenerateDataKeyPairWithoutPlaintext(ctx context.Context, c *keystore.Caller, in *crypt.DataKeyPairInput) (*crypt.DataKeyPairOutput, error)
}

func sign(ctx context.Context, c *call, r *shape.SignRequest) (response, error) {
	out, err := c.s.Crypt.Sign(ctx, c.caller, &crypt.SignInput{
		KeyID: r.KeyID, Message: r.Message, MessageType: r.MessageType, SigningAlgorithm: r.SigningAlgorithm,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	return &shape.SignResponse{KeyID: out.KeyARN, Signature: out.Signature, SigningAlgorithm: out.SigningAlgorithm}, nil
}

func verify(ctx context.Context, c *call, r *shape.VerifyRequest) (response, error) {
	out, err := c.s.Crypt.Verify(ctx, c.caller, &crypt.VerifyInput{
		KeyID: r.KeyID, Message: r.Message, MessageType: r.MessageType, Signature: r.Signature,
		SigningAlgorithm: r.SigningAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	return &shape.VerifyResponse{KeyID: out.KeyARN, SigningAlgorithm: out.SigningAlgorithm}, nil
}

func generateMac(ctx context.Context, c *call, r *shape.GenerateMacRequest) (response, error) {
	out, err := c.s.Crypt.GenerateMac(ctx, c.caller, &crypt.MacInput{
		KeyID: r.KeyID, Message: r.Message, MacAlgorithm: r.MacAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	return &shape.GenerateMacResponse{Mac: out.Mac, MacAlgorithm: out.MacAlgorithm, KeyID: out.KeyARN}, nil
}

func verifyMac(ctx context.Context, c *call, r *shape.VerifyMacRequest) (response, error) {
	out, err := c.s.Crypt.VerifyMac(ctx, c.caller, &crypt.VerifyMacInput{
		MacInput: crypt.MacInput{KeyID: r.KeyID, Message: r.Message, MacAlgorithm: r.MacAlgorithm, GrantTokens: r.GrantTokens,
			DryRun: r.DryRun},
		Mac: r.Mac,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	return &shape.VerifyMacResponse{KeyID: out.KeyARN, MacAlgorithm: out.MacAlgorithm}, nil
}

func getPublicKey(ctx context.Context, c *call, r *shape.DescribeKeyRequest) (response, error) {
	out, err := c.s.Crypt.GetPublicKey(ctx, c.caller, &crypt.PublicKeyInput{KeyID: r.KeyID, GrantTokens: r.GrantTokens})
	if err != nil {
		return nil, err
	}
	c.about(out.Key.ARN())
	return &shape.GetPublicKeyResponse{Key: out.Key, PublicKey: out.PublicKey}, nil
}

func deriveSharedSecret(ctx context.Context, c *call, r *shape.DeriveSharedSecretRequest) (response, error) {
	if err := refuseRecipient(&r.Recipient); err != nil {
		return nil, err
	}
	out, err := c.s.Crypt.DeriveSharedSecret(ctx, c.caller, &crypt.DeriveSharedSecretInput{
		KeyID: r.KeyID, KeyAgreementAlgorithm: r.KeyAgreementAlgorithm, PublicKey: r.PublicKey,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	c.secret = out.SharedSecret
	return &shape.DeriveSharedSecretResponse{KeyID: out.KeyARN, SharedSecret: out.SharedSecret,
		KeyAgreementAlgorithm: out.KeyAgreementAlgorithm, KeyOrigin: out.KeyOrigin}, nil
}

func encapsulate(ctx context.Context, c *call, r *shape.EncapsulateRequest) (response, error) {
	return c.capsule(c.s.Crypt.Encapsulate(ctx, c.caller, &crypt.EncapsulateInput{
		KeyID: r.KeyID, EncapsulationAlgorithm: r.EncapsulationAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	}))
}

func decapsulate(ctx context.Context, c *call, r *shape.DecapsulateRequest) (response, error) {
	return c.capsule(c.s.Crypt.Decapsulate(ctx, c.caller, &crypt.DecapsulateInput{
		EncapsulateInput: crypt.EncapsulateInput{
			KeyID: r.KeyID, EncapsulationAlgorithm: r.EncapsulationAlgorithm, GrantTokens: r.GrantTokens, DryRun: r.DryRun,
		},
		Ciphertext: r.SharedSecretCiphertextBlob,
	}))
}

func (c *call) capsule(out *crypt.EncapsulateOutput, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	c.secret = out.SharedSecret
	return &shape.EncapsulateResponse{KeyID: out.KeyARN, SharedSecret: out.SharedSecret, SharedSecretCiphertextBlob: out.Ciphertext,
		EncapsulationAlgorithm: out.EncapsulationAlgorithm}, nil
}

func generateDataKeyPair(ctx context.Context, c *call, r *shape.GenerateDataKeyPairRequest) (response, error) {
	if err := refuseRecipient(&r.Recipient); err != nil {
		return nil, err
	}
	return c.dataKeyPair(c.s.Crypt.GenerateDataKeyPair(ctx, c.caller, &crypt.DataKeyPairInput{
		KeyID: r.KeyID, KeyPairSpec: r.KeyPairSpec, EncryptionContext: r.EncryptionContext,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	}))
}

func generateDataKeyPairWithoutPlaintext(ctx context.Context, c *call, r *shape.GenerateDataKeyPairWithoutPlaintextRequest) (response, error) {
	return c.dataKeyPair(c.s.Crypt.GenerateDataKeyPairWithoutPlaintext(ctx, c.caller, &crypt.DataKeyPairInput{
		KeyID: r.KeyID, KeyPairSpec: r.KeyPairSpec, EncryptionContext: r.EncryptionContext,
		GrantTokens: r.GrantTokens, DryRun: r.DryRun,
	}))
}

func (c *call) dataKeyPair(out *crypt.DataKeyPairOutput, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	c.about(out.KeyARN)
	c.secret = out.PrivateKeyPlaintext
	return &shape.DataKeyPairResponse{PrivateKeyCiphertextBlob: out.PrivateKeyCiphertextBlob, PrivateKeyPlaintext: out.PrivateKeyPlaintext,
		PublicKey: out.PublicKey, KeyID: out.KeyARN, KeyPairSpec: out.KeyPairSpec, KeyMaterialID: out.KeyMaterialID}, nil
}
