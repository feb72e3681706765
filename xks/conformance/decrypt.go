package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/xks"
)

const (
	sectionDecrypt     = "Decrypt"
	sectionStates      = "Key usage and status"
	sectionErrors      = "Errors"
	sectionContentType = "API content type"
)

// tampered is a check that a changed part of a ciphertext is detected.
func tampered(id, title string, change func(*xks.DecryptRequest) error) Check {
	return Check{"decrypt." + id, sectionDecrypt, Must, title, func(ctx context.Context, s *session) error {
		aad := []byte("tenant=conformance")
		sealed, err := s.encrypt(ctx, "", []byte("plaintext"), aad, false)
		if err != nil {
			return err
		}
		r := s.decryptRequest(sealed, slices.Clone(aad))
		if err := change(r); err != nil {
			return err
		}
		return s.refuses(ctx, request{op: xks.OpDecrypt, body: r.Encode()}, xks.InvalidCiphertextException)
	}}
}

func flip(b []byte) error {
	if len(b) == 0 {
		return errors.New("the proxy returned an empty part")
	}
	b[0] ^= 1
	return nil
}

func decryptChecks() []Check {
	noMetadata := skip{"the proxy returns no ciphertextMetadata"}
	return []Check{
		tampered("ciphertext", "a changed ciphertext is InvalidCiphertextException", func(r *xks.DecryptRequest) error { return flip(r.Ciphertext) }),
		tampered("iv", "a changed initialization vector is InvalidCiphertextException", func(r *xks.DecryptRequest) error { return flip(r.IV) }),
		tampered("tag", "a changed tag is InvalidCiphertextException", func(r *xks.DecryptRequest) error { return flip(r.Tag) }),
		tampered("aad", "changed additional authenticated data is InvalidCiphertextException", func(r *xks.DecryptRequest) error { return flip(r.AAD) }),
		tampered("no-aad", "missing additional authenticated data is InvalidCiphertextException", func(r *xks.DecryptRequest) error { r.AAD = nil; return nil }),
		tampered("metadata", "changed ciphertextMetadata is InvalidCiphertextException", func(r *xks.DecryptRequest) error {
			if len(r.CiphertextMetadata) == 0 {
				return noMetadata
			}
			r.CiphertextMetadata[len(r.CiphertextMetadata)-1] ^= 1
			return nil
		}),
		tampered("metadata-as-aad", "ciphertextMetadata cannot be passed off as additional authenticated data", func(r *xks.DecryptRequest) error {
			if len(r.CiphertextMetadata) == 0 {
				return noMetadata
			}
			r.AAD, r.CiphertextMetadata = append(r.AAD, r.CiphertextMetadata...), nil
			return nil
		}),
		{"decrypt.aad-absent-is-empty", sectionDecrypt, Must, "a ciphertext made without additional authenticated data decrypts without it", func(ctx context.Context, s *session) error { return s.roundTrip(ctx, 24, 0, false) }},
		spoiltDecrypt("iv-length", "an initialization vector of 13 bytes is refused", func(r *xks.DecryptRequest) { r.IV = make([]byte, 13) }, nil),
		spoiltDecrypt("tag-length", "a tag of 15 bytes is refused", func(r *xks.DecryptRequest) { r.Tag = r.Tag[:15] }, nil),
		spoiltDecrypt("metadata-length", "ciphertextMetadata of 21 bytes is refused", func(r *xks.DecryptRequest) { r.CiphertextMetadata = make([]byte, 21) }, nil),
		spoiltDecrypt("no-tag", "a missing tag is refused", nil, func(b []byte) []byte { return bytes.Replace(b, []byte(`"authenticationTag"`), []byte(`"otherTag"`), 1) }),
		spoiltDecrypt("no-iv", "a missing initialization vector is refused", nil, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"initializationVector"`), []byte(`"otherVector"`), 1)
		}),
		spoiltDecrypt("no-ciphertext", "a missing ciphertext is refused", nil, func(b []byte) []byte { return bytes.Replace(b, []byte(`"ciphertext"`), []byte(`"otherText"`), 1) }),
		spoiltDecrypt("not-json", "a body that is not JSON is refused", nil, func([]byte) []byte { return []byte("ciphertext") }),
		acceptedDecrypt("unknown-members", "unknown members of the request are ignored", func(r *xks.DecryptRequest) []byte { return withUnknown(r.Encode()) }, nil),
		acceptedDecrypt("operations", "a kmsOperation of the future is not invalid", func(r *xks.DecryptRequest) []byte {
			r.Metadata.KMSOperation = futureOperation
			return r.Encode()
		}, []xks.ErrorName{xks.AccessDeniedException}),
		{"decrypt.unknown-key", sectionDecrypt, Must, "an unknown key is KeyNotFoundException", func(ctx context.Context, s *session) error {
			sealed, err := s.encrypt(ctx, "", []byte("plaintext"), nil, false)
			if err != nil {
				return err
			}
			return s.refuses(ctx, request{op: xks.OpDecrypt, keyID: absentKey, body: s.decryptRequest(sealed, nil).Encode()}, xks.KeyNotFoundException)
		}},
	}
}

// acceptedDecrypt is a check that an unusual request is accepted, or refused for one of these reasons.
func acceptedDecrypt(id, title string, edit func(*xks.DecryptRequest) []byte, or []xks.ErrorName) Check {
	return Check{"decrypt." + id, sectionDecrypt, Must, title, func(ctx context.Context, s *session) error {
		sealed, err := s.encrypt(ctx, "", []byte("plaintext"), nil, false)
		if err != nil {
			return err
		}
		return s.acceptsOr(ctx, request{op: xks.OpDecrypt, body: edit(s.decryptRequest(sealed, nil))}, or...)
	}}
}

// spoiltDecrypt is a check for faults that the specification lists under both names.
func spoiltDecrypt(id, title string, change func(*xks.DecryptRequest), edit func([]byte) []byte) Check {
	return Check{"decrypt." + id, sectionDecrypt, Must, title, func(ctx context.Context, s *session) error {
		sealed, err := s.encrypt(ctx, "", []byte("plaintext"), nil, false)
		if err != nil {
			return err
		}
		r := s.decryptRequest(sealed, nil)
		if change != nil {
			change(r)
		}
		body := r.Encode()
		if edit != nil {
			body = edit(body)
		}
		return s.refuses(ctx, request{op: xks.OpDecrypt, body: body}, xks.ValidationException, xks.InvalidCiphertextException)
	}}
}

func stateChecks() []Check {
	keyed := func(id, title string, key func(*Config) string, run func(ctx context.Context, s *session, keyID string) error) Check {
		return Check{id, sectionStates, Must, title, func(ctx context.Context, s *session) error {
			keyID := key(&s.cfg)
			if keyID == "" {
				return skip{"no such key was given"}
			}
			return run(ctx, s, keyID)
		}}
	}
	disabled := func(c *Config) string { return c.DisabledKeyID }
	encryptOnly := func(c *Config) string { return c.EncryptOnlyKeyID }
	decryptOnly := func(c *Config) string { return c.DecryptOnlyKeyID }
	somewhere := func(s *session) []byte { // a ciphertext of the right form
		return s.decryptRequest(xks.EncryptResponse{Ciphertext: pattern(16), IV: pattern(12), Tag: pattern(16)}, nil).Encode()
	}
	return []Check{
		keyed("state.disabled-metadata", "a disabled key is reported as DISABLED", disabled, func(ctx context.Context, s *session, keyID string) error {
			body, err := s.accepts(ctx, request{op: xks.OpMetadata, keyID: keyID, body: s.metadataBody()})
			if err != nil {
				return err
			}
			m, err := xks.DecodeMetadataResponse(body)
			if err == nil && m.KeyStatus != xks.KeyDisabled {
				err = fmt.Errorf("keyStatus is %s", m.KeyStatus)
			}
			return err
		}),
		keyed("state.disabled-encrypt", "Encrypt with a disabled key is InvalidStateException", disabled, func(ctx context.Context, s *session, keyID string) error {
			return s.refuses(ctx, request{op: xks.OpEncrypt, keyID: keyID, body: s.encryptRequest(pattern(16), nil, false).Encode()}, xks.InvalidStateException)
		}),
		keyed("state.disabled-decrypt", "Decrypt with a disabled key is InvalidStateException", disabled, func(ctx context.Context, s *session, keyID string) error {
			return s.refuses(ctx, request{op: xks.OpDecrypt, keyID: keyID, body: somewhere(s)}, xks.InvalidStateException)
		}),
		keyed("usage.no-decrypt", "Decrypt with a key that may only encrypt is InvalidKeyUsageException", encryptOnly, func(ctx context.Context, s *session, keyID string) error {
			return s.refuses(ctx, request{op: xks.OpDecrypt, keyID: keyID, body: somewhere(s)}, xks.InvalidKeyUsageException)
		}),
		keyed("usage.no-encrypt", "Encrypt with a key that may only decrypt is InvalidKeyUsageException", decryptOnly, func(ctx context.Context, s *session, keyID string) error {
			return s.refuses(ctx, request{op: xks.OpEncrypt, keyID: keyID, body: s.encryptRequest(pattern(16), nil, false).Encode()}, xks.InvalidKeyUsageException)
		}),
	}
}

// checkMessage looks at errorMessage as it came.
func checkMessage(a answer) error {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		return fmt.Errorf("the body of a %d is not JSON", a.status)
	}
	if len(e.Message) > xks.MaxErrorMessage {
		return fmt.Errorf("errorMessage has %d characters", len(e.Message))
	}
	for _, c := range e.Message {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("errorMessage has the character %U", c)
		}
	}
	return nil
}

func checkContentType(a answer) error {
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		return fmt.Errorf("Content-Type is %q", a.header.Get("Content-Type"))
	}
	return nil
}

// errorChecks come last: they look at every refusal that came before.
func errorChecks() []Check {
	each := func(id string, level Level, title string, judge func(answer) error) Check {
		return Check{"errors." + id, sectionErrors, level, title, func(_ context.Context, s *session) error {
			if len(s.refusals) == 0 {
				return errors.New("the proxy refused nothing, not even what it must")
			}
			for _, a := range s.refusals {
				if err := judge(a); err != nil {
					return fmt.Errorf("%s: %w", a.request, err)
				}
			}
			return nil
		}}
	}
	return []Check{
		{"errors.oversize", sectionErrors, Must, "additional authenticated data of 65536 bytes is refused, and the proxy goes on", func(ctx context.Context, s *session) error {
			r := s.encryptRequest([]byte("plaintext"), pattern(xks.MaxAAD+1), false)
			if err := s.refuses(ctx, request{op: xks.OpEncrypt, body: r.Encode()}, xks.UnsupportedOperationException, xks.ValidationException); err != nil {
				return err
			}
			return s.roundTrip(ctx, 16, 16, false)
		}},
		each("name", Must, "every error has an errorName of the specification", func(a answer) error {
			if !a.name.Known() {
				return fmt.Errorf("answered with %s", a.describe())
			}
			return nil
		}),
		each("status", Must, "every error has the status of its name", func(a answer) error {
			if a.status != a.name.Status() {
				return fmt.Errorf("%s came with status %d", xks.CleanMessage(string(a.name)), a.status)
			}
			return nil
		}),
		each("message", Must, "errorMessage is fewer than 512 printable ASCII characters", checkMessage),
		each("content-type", Must, "errors are application/json", checkContentType),
		{"answers.content-type", sectionContentType, Must, "answers are application/json", func(_ context.Context, s *session) error {
			switch {
			case s.accepted == 0:
				return errors.New("the proxy accepted nothing")
			case s.untyped != nil:
				return fmt.Errorf("%s: %w", s.untyped.request, checkContentType(*s.untyped))
			}
			return nil
		}},
		{"errors.still-serving", sectionErrors, Must, "the proxy serves after everything that was done to it", func(ctx context.Context, s *session) error {
			a, err := s.send(ctx, request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)})
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("GetHealthStatus was answered with %s", a.describe())
			}
			return err
		}},
	}
}
