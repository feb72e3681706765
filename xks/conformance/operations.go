package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/xks"
)

const (
	sectionHealth    = "GetHealthStatus"
	sectionMetadata  = "GetKeyMetadata"
	sectionEncrypt   = "Encrypt"
	sectionIntegrity = "Encrypt (Appendix C)"
)

// futureOperation is a kmsOperation that KMS does not have. A proxy's own policy may deny it; it is not invalid.
const futureOperation = "FutureOperation"

// absentKey is an external key id that no key manager has.
const absentKey = "conformance-no-such-key"

func healthChecks() []Check {
	ask := func(ctx context.Context, s *session, body []byte) (xks.HealthResponse, error) {
		answer, err := s.accepts(ctx, request{op: xks.OpHealth, body: body})
		if err != nil {
			return xks.HealthResponse{}, err
		}
		return xks.DecodeHealthResponse(answer)
	}
	return []Check{
		{"health.answer", sectionHealth, Must, "the answer has every required member, with 1 to 10 key managers", func(ctx context.Context, s *session) error {
			_, err := ask(ctx, s, s.healthBody(xks.KMSHealthCheck))
			return err
		}},
		{"health.instance-ids", sectionHealth, Must, "ids of key managers are unique", func(ctx context.Context, s *session) error {
			h, err := ask(ctx, s, s.healthBody(xks.KMSHealthCheck))
			if err != nil {
				return err
			}
			seen := map[string]bool{}
			for _, instance := range h.Instances {
				if instance.ID == "" || seen[instance.ID] {
					return fmt.Errorf("id %q is empty or appears twice", instance.ID)
				}
				seen[instance.ID] = true
			}
			return nil
		}},
		{"health.names", sectionHealth, Should, "vendor and model are named", func(ctx context.Context, s *session) error {
			h, err := ask(ctx, s, s.healthBody(xks.KMSHealthCheck))
			if err == nil && (h.Vendor == "" || h.Model == "" || h.EKMVendor == "") {
				err = errors.New("xksProxyVendor, xksProxyModel or ekmVendor is empty")
			}
			return err
		}},
		{"health.operations", sectionHealth, Must, "every KMS operation that checks health is accepted, and those of the future", func(ctx context.Context, s *session) error {
			for _, op := range []string{xks.KMSHealthCheck, xks.KMSCreateStore, xks.KMSConnectStore, xks.KMSUpdateStore, futureOperation} {
				if _, err := ask(ctx, s, s.healthBody(op)); err != nil {
					return fmt.Errorf("kmsOperation %s: %w", op, err)
				}
			}
			return nil
		}},
		{"health.unknown-members", sectionHealth, Must, "unknown members of the request are ignored", func(ctx context.Context, s *session) error {
			_, err := ask(ctx, s, withUnknown(s.healthBody(xks.KMSHealthCheck)))
			return err
		}},
	}
}

// withUnknown adds members that the specification does not have to a request and to its metadata.
func withUnknown(body []byte) []byte {
	text := strings.Replace(string(body), `"kmsRequestId"`, `"sourceIdentity":"future","attestation":{"pcr":["0","}"]},"kmsRequestId"`, 1)
	return []byte(strings.TrimSuffix(text, "}") + `,"future":{"list":[1,true,null]}}`)
}

func metadataChecks() []Check {
	return []Check{
		{"metadata.answer", sectionMetadata, Must, "a usable key is AES_256, ENABLED, for ENCRYPT and DECRYPT", func(ctx context.Context, s *session) error {
			body, err := s.accepts(ctx, request{op: xks.OpMetadata, body: s.metadataBody()})
			if err != nil {
				return err
			}
			m, err := xks.DecodeMetadataResponse(body)
			switch {
			case err != nil:
				return err
			case m.KeySpec != xks.KeySpecAES256, m.KeyStatus != xks.KeyEnabled, !slices.Contains(m.KeyUsage, xks.UsageEncrypt), !slices.Contains(m.KeyUsage, xks.UsageDecrypt):
				return fmt.Errorf("the key is %s, %s, for %v", m.KeySpec, m.KeyStatus, m.KeyUsage)
			}
			return nil
		}},
		{"metadata.unknown-key", sectionMetadata, Must, "an unknown key is KeyNotFoundException", func(ctx context.Context, s *session) error {
			return s.refuses(ctx, request{op: xks.OpMetadata, keyID: absentKey, body: s.metadataBody()}, xks.KeyNotFoundException)
		}},
		{"metadata.required", sectionMetadata, Must, "a request without requestMetadata is ValidationException", func(ctx context.Context, s *session) error {
			return s.refuses(ctx, request{op: xks.OpMetadata, body: []byte("{}")}, xks.ValidationException)
		}},
		{"metadata.operations", sectionMetadata, Must, "a kmsOperation of the future is not invalid", func(ctx context.Context, s *session) error {
			r := xks.MetadataRequest{Metadata: s.metadata(futureOperation)}
			return s.acceptsOr(ctx, request{op: xks.OpMetadata, body: r.Encode()}, xks.AccessDeniedException)
		}},
		{"metadata.unknown-members", sectionMetadata, Must, "unknown members of the request are ignored", func(ctx context.Context, s *session) error {
			_, err := s.accepts(ctx, request{op: xks.OpMetadata, body: withUnknown(s.metadataBody())})
			return err
		}},
	}
}

// invalidEncrypt is a check that a spoilt body is ValidationException.
func invalidEncrypt(id, title, old, with string) Check {
	return Check{"encrypt." + id, sectionEncrypt, Must, title, func(ctx context.Context, s *session) error {
		body := string(s.encryptRequest([]byte("plaintext"), []byte("aad"), true).Encode())
		if !strings.Contains(body, old) {
			return fmt.Errorf("the request has no %q to spoil", old)
		}
		return s.refuses(ctx, request{op: xks.OpEncrypt, body: []byte(strings.Replace(body, old, with, 1))}, xks.ValidationException)
	}}
}

func encryptChecks() []Check {
	const plaintext = `"plaintext":"cGxhaW50ZXh0"`
	return []Check{
		{"encrypt.round-trip", sectionEncrypt, Must, "what was encrypted decrypts to the same", func(ctx context.Context, s *session) error {
			for _, size := range []int{1, 16, 32, 33} {
				if err := s.roundTrip(ctx, size, 0, false); err != nil {
					return err
				}
			}
			return nil
		}},
		{"encrypt.plaintext-4300", sectionEncrypt, Must, "4300 bytes of plaintext are supported", func(ctx context.Context, s *session) error {
			return s.roundTrip(ctx, xks.MinPlaintextSupport, 16, false)
		}},
		{"encrypt.aad-8192", sectionEncrypt, Must, "8192 bytes of additional authenticated data are supported", func(ctx context.Context, s *session) error { return s.roundTrip(ctx, 32, xks.MinAADSupport, false) }},
		{"encrypt.fresh", sectionEncrypt, Must, "every encryption has an initialization vector of its own", func(ctx context.Context, s *session) error {
			var seen [][]byte
			for range 4 {
				sealed, err := s.encrypt(ctx, "", []byte("the same plaintext"), nil, false)
				if err != nil {
					return err
				}
				for _, iv := range seen {
					if bytes.Equal(iv, sealed.IV) {
						return errors.New("an initialization vector came twice")
					}
				}
				seen = append(seen, sealed.IV)
			}
			return nil
		}},
		{"encrypt.unknown-members", sectionEncrypt, Must, "unknown members of the request are ignored", func(ctx context.Context, s *session) error {
			r := s.encryptRequest([]byte("plaintext"), nil, false)
			_, err := s.accepts(ctx, request{op: xks.OpEncrypt, body: withUnknown(r.Encode())})
			return err
		}},
		{"encrypt.operations", sectionEncrypt, Must, "a kmsOperation of the future is not invalid", func(ctx context.Context, s *session) error {
			r := s.encryptRequest([]byte("plaintext"), nil, false)
			r.Metadata.KMSOperation = futureOperation
			return s.acceptsOr(ctx, request{op: xks.OpEncrypt, body: r.Encode()}, xks.AccessDeniedException)
		}},
		{"encrypt.long-arns", sectionEncrypt, Must, "ARNs of 2048 characters are supported", func(ctx context.Context, s *session) error {
			r := s.encryptRequest([]byte("plaintext"), nil, false)
			for _, arn := range []*string{&r.Metadata.PrincipalARN, &r.Metadata.KMSKeyARN} {
				*arn += strings.Repeat("x", xks.MaxARN-len(*arn))
			}
			return s.acceptsOr(ctx, request{op: xks.OpEncrypt, body: r.Encode()}, xks.AccessDeniedException)
		}},
		{"encrypt.unknown-key", sectionEncrypt, Must, "an unknown key is KeyNotFoundException", func(ctx context.Context, s *session) error {
			r := s.encryptRequest([]byte("plaintext"), nil, false)
			return s.refuses(ctx, request{op: xks.OpEncrypt, keyID: absentKey, body: r.Encode()}, xks.KeyNotFoundException)
		}},
		{"encrypt.not-json", sectionEncrypt, Must, "a body that is not JSON is ValidationException", func(ctx context.Context, s *session) error {
			return s.refuses(ctx, request{op: xks.OpEncrypt, body: []byte("<xml/>")}, xks.ValidationException)
		}},
		invalidEncrypt("no-plaintext", "a missing plaintext is ValidationException", plaintext+",", ""),
		invalidEncrypt("no-algorithm", "a missing encryptionAlgorithm is ValidationException", `"encryptionAlgorithm":"AES_GCM",`, ""),
		invalidEncrypt("no-request-id", "a missing kmsRequestId is ValidationException", `"kmsRequestId"`, `"otherRequestId"`),
		invalidEncrypt("no-principal", "a missing awsPrincipalArn is ValidationException", `"awsPrincipalArn"`, `"otherPrincipalArn"`),
		invalidEncrypt("no-key-arn", "a missing kmsKeyArn is ValidationException", `"kmsKeyArn"`, `"otherKeyArn"`),
		invalidEncrypt("no-operation", "a missing kmsOperation is ValidationException", `"kmsOperation"`, `"otherOperation"`),
		invalidEncrypt("algorithm", "another encryptionAlgorithm is ValidationException", `"AES_GCM"`, `"AES_CBC"`),
		invalidEncrypt("base64", "a plaintext that is not base64 is ValidationException", plaintext, `"plaintext":"!!!!"`),
		invalidEncrypt("type", "a plaintext that is not a string is ValidationException", plaintext, `"plaintext":12345678`),
		{"encrypt.latency", sectionEncrypt, Should, "an answer comes within the 250 ms that KMS waits", func(ctx context.Context, s *session) error {
			r := s.encryptRequest(pattern(128), pattern(64), true)
			slow := 0
			for range 20 {
				a, err := s.send(ctx, request{op: xks.OpEncrypt, body: r.Encode()})
				if err != nil {
					return err
				}
				if a.status != 200 {
					return fmt.Errorf("answered with %s", a.describe())
				}
				if a.took > kmsTimeout {
					slow++
				}
			}
			if slow > 0 {
				return fmt.Errorf("%d of 20 calls took longer", slow)
			}
			return nil
		}},
	}
}

func integrityChecks() []Check {
	return []Check{
		{"cdiv.value", sectionIntegrity, Must, "the integrity value is the hash of AAD, metadata, IV, ciphertext and tag", func(ctx context.Context, s *session) error {
			for _, aad := range [][]byte{nil, []byte("aad"), pattern(xks.MinAADSupport)} {
				if _, err := s.encrypt(ctx, "", []byte("a data key of thirty-two bytes.."), aad, true); err != nil {
					return err
				}
			}
			return nil
		}},
		{"cdiv.round-trip", sectionIntegrity, Must, "a ciphertext with an integrity value decrypts", func(ctx context.Context, s *session) error { return s.roundTrip(ctx, 32, 64, true) }},
		invalidCDIV(),
	}
}

func invalidCDIV() Check {
	check := invalidEncrypt("", "another integrity algorithm is ValidationException", `"SHA_256"`, `"MD5"`)
	check.ID, check.Section = "cdiv.algorithm", sectionIntegrity
	return check
}
