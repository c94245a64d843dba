// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// certificates are the ones that TLS listeners serve with. They are read again
// when their files change; what cannot be read leaves the ones before.
type certificates struct {
	mu    sync.Mutex
	pairs []agentfile.Pair
	seen  []stamp
	certs []*tls.Certificate
	stale string // why the files as they are now are not in use; empty if they are
}

// stamp tells whether a file is another one than before.
type stamp struct {
	size  int64
	mtime time.Time
}

func loadCertificates(pairs []agentfile.Pair) (*certificates, error) {
	c := &certificates{}
	return c, c.use(pairs)
}

// use replaces the certificates, or changes nothing and says why.
func (c *certificates) use(pairs []agentfile.Pair) error {
	seen := stamps(pairs) // before reading: a change meanwhile is seen the next time
	var certs []*tls.Certificate
	for _, p := range pairs {
		cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			return fmt.Errorf("reading the certificate %s with the key %s: %w", p.CertFile, p.KeyFile, err)
		}
		certs = append(certs, &cert)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs, c.seen, c.certs, c.stale = pairs, seen, certs, ""
	return nil
}

// refresh reads the files again if they have changed, and says so. The same error is returned once.
func (c *certificates) refresh() (changed bool, err error) {
	c.mu.Lock()
	pairs, seen, stale := c.pairs, c.seen, c.stale
	c.mu.Unlock()
	if slices.Equal(stamps(pairs), seen) {
		c.setStale("")
		return false, nil
	}
	if err := c.use(pairs); err != nil {
		c.setStale(err.Error())
		if err.Error() == stale {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

func (c *certificates) setStale(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = why
}

func stamps(pairs []agentfile.Pair) (out []stamp) {
	for _, p := range pairs {
		for _, path := range []string{p.CertFile, p.KeyFile} {
			var s stamp
			if info, err := os.Stat(path); err == nil {
				s = stamp{info.Size(), info.ModTime()}
			}
			out = append(out, s)
		}
	}
	return out
}

// config answers each handshake with the certificate that is for its name, and with
// the first where none is.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			certs := c.certs
			c.mu.Unlock()
			for _, cert := range certs {
				if hello.SupportsCertificate(cert) == nil {
					return cert, nil
				}
			}
			if len(certs) == 0 {
				return nil, errors.New("there is no certificate")
			}
			return certs[0], nil
		},
	}
}

// list names what is served, and why files that have changed are not.
func (c *certificates) list() (out []health.Certificate, stale string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cert := range c.certs {
		out = append(out, health.Certificate{File: c.pairs[i].CertFile, Names: cert.Leaf.DNSNames, NotAfter: cert.Leaf.NotAfter})
	}
	return out, c.stale
}
