package dev

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Running is what is known once the appliance answers.
type Running struct {
	KMSAddr, XKSAddr, AdminAddr string // as bound
	AccessKeyID, SecretKey      string // of the account root
	AdminSocket                 string
	XKS                         map[string]Credential // by realm: credentials come and go at run time
}

// Credential is a credential of an XKS realm.
type Credential struct{ AccessKeyID, SecretKey string }

// Vars gives the variables of dev.env.
func (s *Setup) Vars(r Running) []Var {
	region := s.Config.Regions[0]
	vars := []Var{
		{"AWS_ENDPOINT_URL_KMS", "http://" + reachable(r.KMSAddr)},
		{"AWS_ACCESS_KEY_ID", r.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", r.SecretKey},
		{"AWS_SESSION_TOKEN", ""}, // one of the shell's own belongs to another credential
		{"AWS_REGION", region},
		{"AWS_DEFAULT_REGION", region},
	}
	for i, c := range s.kept.Clusters {
		suffix := ""
		if i > 0 {
			suffix = "_2"
		}
		vars = append(vars,
			Var{"STRONGROOM_CLUSTER_ID" + suffix, c.ID},
			Var{"STRONGROOM_TRUST_ANCHOR" + suffix, s.trustAnchor(i)},
			Var{"STRONGROOM_KMSUSER_PASSWORD" + suffix, s.kept.Tokens[clusterToken(i)].PIN})
	}
	port := r.XKSAddr[strings.LastIndexByte(r.XKSAddr, ':')+1:]
	for _, realm := range s.realms() {
		vars = append(vars, s.realmVars(&realm, port, r.XKS[realm.Name])...)
	}
	return append(vars,
		Var{"STRONGROOM_ADMIN_SOCKET", r.AdminSocket},
		Var{"STRONGROOM_ADMIN_URL", "http://" + reachable(r.AdminAddr)},
		Var{"STRONGROOM_DIR", s.Dir},
		Var{"STRONGROOM_PID", strconv.Itoa(os.Getpid())},
		Var{"SOFTHSM2_CONF", filepath.Join(s.Dir, "softhsm2.conf")},
		Var{"STRONGROOM_PKCS11_MODULE", s.module})
}

// reachable is the address by which this machine reaches a listener: one on all addresses has none of its own.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip := net.ParseIP(host)
	switch {
	case ip == nil || !ip.IsUnspecified():
		return address
	case ip.To4() != nil:
		return net.JoinHostPort("127.0.0.1", port)
	}
	return net.JoinHostPort("localhost", port)
}

// Dir makes the directory that a dev appliance is to use: dir, or one that throwAway says to remove at the end.
func Dir(dir string) (path string, throwAway bool, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "strongroom-dev-")
		return path, true, err
	}
	path, err = filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	return path, false, err
}
