package proxy

import (
	"context"
	"crypto/subtle"
	"slices"

	"github.com/strongroom/strongroom/xks"
)

// dispatch decodes the body, admits the call and works it out.
func (x *exchange) dispatch(ctx context.Context) ([]byte, error) {
	switch x.event.Operation {
	case xks.OpHealth:
		return x.getHealthStatus()
	case xks.OpMetadata:
		return x.getKeyMetadata(ctx)
	case xks.OpEncrypt:
		return x.encrypt(ctx)
	case xks.OpDecrypt:
		return x.decrypt(ctx)
	}
	return nil, errPath
}

func (x *exchange) getHealthStatus() ([]byte, error) {
	req, err := xks.DecodeHealthRequest(x.body)
	x.event.Metadata = req.Metadata
	if err != nil {
		return nil, err
	}
	answer, err := x.p.healthAnswer(x.realm)
	if err != nil {
		return nil, err
	}
	return answer.Encode(), nil
}

// admit decides whether the caller may use the key, and takes a place in the queue. Whoever is admitted calls the
// returned function when done.
func (x *exchange) admit(ctx context.Context, meta *xks.RequestMetadata) (leave func(), err error) {
	x.event.Metadata = *meta
	if x.realm.allowed != nil && !x.realm.allowed[x.event.KeyID] {
		return nil, errNoKey
	}
	if rule := x.realm.Policy.decide(call{op: x.event.Operation, keyID: x.event.KeyID, meta: meta}); rule != "" {
		x.event.Rule, x.event.DryRun = rule, x.realm.Policy.DryRun
		if !x.realm.Policy.DryRun {
			return nil, errDenied
		}
	}
	if err := x.realm.queue.enter(ctx, queuePatience); err != nil {
		return nil, err
	}
	return x.realm.queue.leave, nil
}

func (x *exchange) getKeyMetadata(ctx context.Context) ([]byte, error) {
	req, err := xks.DecodeMetadataRequest(x.body)
	if err != nil {
		x.event.Metadata = req.Metadata
		return nil, err
	}
	leave, err := x.admit(ctx, &req.Metadata)
	if err != nil {
		return nil, err
	}
	defer leave()
	answer, err := x.realm.Keys.Metadata(ctx, x.event.KeyID)
	if err != nil {
		return nil, err
	}
	return answer.Encode(), nil
}

func (x *exchange) encrypt(ctx context.Context) ([]byte, error) {
	req, err := xks.DecodeEncryptRequest(x.body, x.p.cfg.Limits)
	defer clear(req.Plaintext)
	if err != nil {
		x.event.Metadata = req.Metadata
		return nil, err
	}
	leave, err := x.admit(ctx, &req.Metadata)
	if err != nil {
		return nil, err
	}
	defer leave()
	if req.CDIV {
		return x.encryptChecked(ctx, &req)
	}
	sealed, err := x.realm.Keys.Encrypt(ctx, x.event.KeyID, req.Plaintext, req.AAD)
	if err != nil {
		return nil, err
	}
	return encryptAnswer(sealed, nil), nil
}

// encryptChecked makes the integrity value by the order of Appendix C: encrypt, hash what came out, decrypt that very
// output, and answer only if it gives the plaintext back. Hashing after the decryption would bless a corruption that
// happened in between.
func (x *exchange) encryptChecked(ctx context.Context, req *xks.EncryptRequest) ([]byte, error) {
	metadata, err := x.realm.Keys.Metadata(ctx, x.event.KeyID)
	if err != nil {
		return nil, err
	}
	if metadata.KeyStatus == xks.KeyEnabled && !slices.Contains(metadata.KeyUsage, xks.UsageDecrypt) {
		return nil, xks.NewError(xks.InvalidKeyUsageException, "an integrity value needs a key that may decrypt")
	}
	const attempts = 2
	for range attempts {
		sealed, err := x.realm.Keys.Encrypt(ctx, x.event.KeyID, req.Plaintext, req.AAD)
		if err != nil {
			return nil, err
		}
		cdiv := xks.CDIV(req.AAD, sealed.Metadata, sealed.IV, sealed.Ciphertext, sealed.Tag)
		opened, err := x.realm.Keys.Decrypt(ctx, x.event.KeyID, sealed, req.AAD)
		same := subtle.ConstantTimeCompare(opened, req.Plaintext) == 1
		clear(opened)
		switch {
		case err != nil && xks.NameOf(err) != xks.InvalidCiphertextException:
			return nil, err
		case err == nil && same:
			return encryptAnswer(sealed, cdiv[:]), nil
		}
	}
	return nil, xks.NewError(xks.InternalException, "the ciphertext did not decrypt to the plaintext")
}

func encryptAnswer(s xks.Sealed, cdiv []byte) []byte {
	answer := xks.EncryptResponse{Ciphertext: s.Ciphertext, CiphertextMetadata: s.Metadata, IV: s.IV, Tag: s.Tag, CDIV: cdiv}
	return answer.Encode()
}

func (x *exchange) decrypt(ctx context.Context) ([]byte, error) {
	req, err := xks.DecodeDecryptRequest(x.body, x.p.cfg.Limits)
	if err != nil {
		x.event.Metadata = req.Metadata
		return nil, err
	}
	leave, err := x.admit(ctx, &req.Metadata)
	if err != nil {
		return nil, err
	}
	defer leave()
	sealed := xks.Sealed{IV: req.IV, Ciphertext: req.Ciphertext, Tag: req.Tag, Metadata: req.CiphertextMetadata}
	plaintext, err := x.realm.Keys.Decrypt(ctx, x.event.KeyID, sealed, req.AAD)
	if err != nil {
		return nil, err
	}
	x.secret = true
	answer := xks.DecryptResponse{Plaintext: plaintext}
	encoded := answer.Encode()
	clear(plaintext)
	return encoded, nil
}
