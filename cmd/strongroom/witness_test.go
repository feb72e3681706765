package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/ThalesIgnite/crypto11"
)

// pkcs11Main is the command pkcs11 of the scenarios: another program, with another library (crypto11), on the token of the
// first cluster.
func pkcs11Main() {
	if err := pkcs11Do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pkcs11Do(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: pkcs11 make LABEL | destroy CKA_ID")
	}
	ctx, err := crypto11.Configure(&crypto11.Config{
		Path: os.Getenv("STRONGROOM_PKCS11_MODULE"), TokenLabel: "strongroom-cluster-1", Pin: os.Getenv("STRONGROOM_KMSUSER_PASSWORD"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ctx.Close()) }()
	if args[0] == "make" {
		id := make([]byte, 16)
		rand.Read(id) //nolint:errcheck // crypto/rand never fails
		_, err := ctx.GenerateSecretKeyWithLabel(id, []byte(args[1]), 256, crypto11.CipherAES)
		return err
	}
	id, err := hex.DecodeString(args[1])
	if err != nil {
		return err
	}
	key, err := ctx.FindKey(id, nil)
	if err != nil {
		return err
	}
	if key == nil {
		return fmt.Errorf("the token has no key with CKA_ID %x", id)
	}
	return key.Delete()
}
