package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SecretRef says where a secret is: "file:PATH", "env:NAME" or "credential:NAME" (a credential that systemd hands to the
// service). The secret itself never stands in a configuration, so a reference may be printed.
type SecretRef string

// Scheme and target of the reference; ok is false where it has neither of the forms.
func (r SecretRef) split() (scheme, target string, ok bool) {
	scheme, target, ok = strings.Cut(string(r), ":")
	switch scheme {
	case "file", "env", "credential":
		return scheme, target, ok && target != ""
	}
	return "", "", false
}

// Validate tells whether the reference has one of the forms.
func (r SecretRef) Validate() error {
	if _, _, ok := r.split(); !ok {
		// The value is not repeated: it may be the secret itself, written here by mistake.
		return errors.New("is not a reference; write file:/path, env:NAME or credential:NAME, never the secret itself")
	}
	return nil
}

// Resolve reads the secret. A line break at the end of a file does not belong to it. A file must be readable by its
// owner only.
func (r SecretRef) Resolve() (string, error) {
	scheme, target, ok := r.split()
	if !ok {
		return "", r.Validate()
	}
	switch scheme {
	case "env":
		v, set := os.LookupEnv(target)
		if !set || v == "" {
			return "", fmt.Errorf("environment variable %s is not set", target)
		}
		return v, nil
	case "credential":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", fmt.Errorf("credential %s: there is no CREDENTIALS_DIRECTORY; the service must be started by systemd with LoadCredential=%s:…", target, target)
		}
		if target != filepath.Base(target) {
			return "", fmt.Errorf("credential %q: want a bare name", target)
		}
		return readSecret(filepath.Join(dir, target))
	default:
		if err := OwnerOnly(target); err != nil {
			return "", err
		}
		return readSecret(target)
	}
}

// OwnerOnly fails where group or others can read the file.
func OwnerOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	return nil
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > 4096 {
		return "", fmt.Errorf("%s: %d bytes are no secret", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(data), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}
