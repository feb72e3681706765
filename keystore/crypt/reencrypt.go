package crypt

import (
	"context"
	"strconv"

	"github.com/strongroom/strongroom/keystore"
)

// ReEncrypt opens a ciphertext under one key and encrypts it under another (or the same) without showing the plaintext.
func (s *Service) ReEncrypt(ctx context.Context, c *keystore.Caller, in *ReEncryptInput) (*ReEncryptOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	src := source{
		ciphertext: in.CiphertextBlob, keyID: in.SourceKeyID, member: "sourceKeyId",
		algorithm: defaultAlgorithm(in.SourceEncryptionAlgorithm), dryRun: in.DryRun, modifiers: in.DryRunModifiers,
		demand: demand{action: keystore.ActionReEncrypt, permission: "kms:ReEncryptFrom",
			context: in.SourceEncryptionContext, tokens: in.GrantTokens},
	}
	if err := s.locate(ctx, c, &src); err != nil {
		return nil, err
	}
	dst, err := s.find(ctx, c, in.DestinationKeyID)
	if err != nil {
		return nil, err
	}
	same := strconv.FormatBool(dst.key.ID == src.use.key.ID)
	src.demand.sameKey = same
	opener, err := s.admitSource(ctx, c, t, &src)
	if err != nil {
		return nil, err
	}
	algorithm := defaultAlgorithm(in.DestinationEncryptionAlgorithm)
	sealer, err := s.target(ctx, c, t, &dst, &demand{
		action: keystore.ActionReEncrypt, permission: "kms:ReEncryptTo", given: in.DestinationKeyID, algorithm: algorithm,
		context: in.DestinationEncryptionContext, tokens: in.GrantTokens, sameKey: same,
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	plaintext, material, err := opener.decrypt(s, ctx, t, &src.use, src.algorithm, in.SourceEncryptionContext, in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	if err := checkPlaintext(sealer, &dst, algorithm, plaintext); err != nil {
		return nil, err
	}
	blob, err := sealer.encrypt(s, ctx, t, &dst, algorithm, in.DestinationEncryptionContext, plaintext)
	if err != nil {
		return nil, err
	}
	return &ReEncryptOutput{
		CiphertextBlob: blob, SourceKeyARN: src.use.arn, DestinationKeyARN: dst.arn,
		SourceEncryptionAlgorithm: src.algorithm, DestinationEncryptionAlgorithm: algorithm,
		SourceKeyMaterialID:      materialID(src.use.key, material),
		DestinationKeyMaterialID: materialID(dst.key, dst.key.Current()),
	}, nil
}
