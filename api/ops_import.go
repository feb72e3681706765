package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// Imports is the part of Keys that is about imported key material.
type Imports interface {
	GetParametersForImport(ctx context.Context, c *keystore.Caller, keyID, algorithm, spec string) (*lifecycle.ImportParameters, error)
	ImportKeyMaterial(ctx context.Context, c *keystore.Caller, in *lifecycle.ImportInput) (*lifecycle.ImportOutput, error)
	DeleteImportedKeyMaterial(ctx context.Context, c *keystore.Caller, keyID, materialID string) (*lifecycle.ImportOutput, error)
}

func getParametersForImport(ctx context.Context, c *call, r *shape.GetParametersForImportRequest) (response, error) {
	p, err := c.s.Keys.GetParametersForImport(ctx, c.caller, r.KeyID, r.WrappingAlgorithm, r.WrappingKeySpec)
	if err != nil {
		return nil, err
	}
	c.about(p.Key.ARN())
	return &shape.ImportParametersResponse{KeyID: p.Key.ARN(), ImportToken: p.Token, PublicKey: p.PublicKey, ValidTo: p.ValidTo}, nil
}

func importKeyMaterial(ctx context.Context, c *call, r *shape.ImportKeyMaterialRequest) (response, error) {
	return c.keyMaterial(c.s.Keys.ImportKeyMaterial(ctx, c.caller, &lifecycle.ImportInput{
		KeyID: r.KeyID, ImportToken: r.ImportToken, EncryptedKeyMaterial: r.EncryptedKeyMaterial, ValidTo: r.ValidTo,
		ExpirationModel: r.ExpirationModel, ImportType: r.ImportType, KeyMaterialDescription: r.KeyMaterialDescription,
		KeyMaterialID: r.KeyMaterialID,
	}))
}

func deleteImportedKeyMaterial(ctx context.Context, c *call, r *shape.DeleteImportedKeyMaterialRequest) (response, error) {
	return c.keyMaterial(c.s.Keys.DeleteImportedKeyMaterial(ctx, c.caller, r.KeyID, r.KeyMaterialID))
}

// keyMaterial shows the id of a material where keys of the kind have one: symmetric encryption keys.
func (c *call) keyMaterial(out *lifecycle.ImportOutput, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	c.about(out.Key.ARN())
	r := &shape.KeyMaterialResponse{KeyID: out.Key.ARN()}
	if out.Key.ShowsMaterialID() {
		r.KeyMaterialID = out.KeyMaterialID
	}
	return r, nil
}
