package dev

import "strings"

// Realm is a realm of a dev appliance's XKS proxy.
type Realm struct {
	Name string
	Keys []string // ids of the external keys that are ready

	suffix                           string // of its variables
	token                            string
	accessKey, secretKey, secretFile string
}

// realms are the realms of a directory, each with a token of its own.
func (s *Setup) realms() []Realm {
	return []Realm{
		{Name: "dev", Keys: keyIDs("dev-key-"), token: xksToken,
			accessKey: s.kept.XKSAccessKey, secretKey: s.kept.XKSSecretKey, secretFile: s.file("secrets/xks-secret")},
		{Name: "dev2", Keys: keyIDs("dev2-key-"), suffix: "_2", token: xksToken2,
			accessKey: s.kept.XKS2.AccessKey, secretKey: s.kept.XKS2.SecretKey, secretFile: s.file("secrets/xks-secret-2")},
	}
}

// Realms are the realms that the appliance has, with the keys that it must have.
func (s *Setup) Realms() []Realm { return s.realms() }

// Faults makes the faults of the appliance's proxy, all off.
func (s *Setup) Faults() *Faults {
	var names []string
	for _, r := range s.realms() {
		names = append(names, r.Name)
	}
	return NewFaults(names...)
}

// keyIDs are the ids of the ready keys of a realm.
func keyIDs(prefix string) []string {
	ids := make([]string, 6)
	for i := range ids {
		ids[i] = prefix + string(rune('1'+i))
	}
	return ids
}

// realmVars gives the variables of a realm, whose names end in its suffix. credential is what it accepts now.
func (s *Setup) realmVars(r *Realm, port string, credential Credential) []Var {
	return []Var{
		{"STRONGROOM_XKS_URI" + r.suffix, "https://localhost:" + port},
		{"STRONGROOM_XKS_PATH" + r.suffix, "/" + r.Name + "/kms/xks/v1"},
		{"STRONGROOM_XKS_ACCESS_KEY" + r.suffix, credential.AccessKeyID},
		{"STRONGROOM_XKS_SECRET_KEY" + r.suffix, credential.SecretKey},
		{"STRONGROOM_XKS_KEY_IDS" + r.suffix, strings.Join(r.Keys, ",")},
		{"STRONGROOM_XKS_CA" + r.suffix, s.file("tls/xks-ca.pem")},
	}
}
