package appliance

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// renewalPause is how long a certificate is used before its files are looked at again.
const renewalPause = 10 * time.Second

// renewing is the certificate of a listener. It is read anew when its files change, so that a renewed one is shown without a
// restart; files that do not fit each other, as in the middle of a renewal, leave the old one in use.
type renewing struct {
	field string
	files *config.TLS
	log   *slog.Logger
	now   func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
	stamp  [2]fileStamp // of certificate and key, as they were when they were last read
}

// fileStamp tells whether a file is the one that it was.
type fileStamp struct {
	modified time.Time
	size     int64
}

func (r *renewing) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{r.files.Certificate, r.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

// newRenewing starts with a certificate that was read from the files just now.
func newRenewing(field string, files *config.TLS, cert tls.Certificate, log *slog.Logger, now func() time.Time) *renewing {
	r := &renewing{field: field, files: files, log: log, now: now, cert: &cert, looked: now()}
	r.stamp, _ = r.stamps() // what cannot be looked at now is read again at the next look
	return r
}

// Get implements tls.Config.GetCertificate.
func (r *renewing) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.looked) >= renewalPause {
		r.looked = now
		r.look()
	}
	return r.cert, nil
}

// look reads files that changed. It is said once of each change what came of it.
func (r *renewing) look() {
	stamp, err := r.stamps()
	if err == nil && stamp == r.stamp {
		return
	}
	r.stamp = stamp
	if err == nil {
		err = config.OwnerOnly(r.files.Key)
	}
	var cert tls.Certificate
	if err == nil {
		cert, err = tls.LoadX509KeyPair(r.files.Certificate, r.files.Key)
	}
	if err != nil {
		r.log.Warn("a changed certificate cannot be used, and the old one stays in use", "field", r.field+".tls", "error", err)
		return
	}
	r.cert = &cert
	r.log.Info("a changed certificate is in use", "field", r.field+".tls", "until", cert.Leaf.NotAfter)
}
