// SPDX-License-Identifier: MPL-2.0

package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// vpcService is a private host with its connections.
type vpcService struct{ plain, secure *target }

func (v *vpcService) close() {
	v.plain.close()
	v.secure.close()
}

var _ plane.PrivateNetwork = (*Server)(nil)

// Fetch implements plane.PrivateNetwork.
func (s *Server) Fetch(v plane.VPCTarget, https bool) http.Handler {
	service := s.service(v)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		t := service.plain
		if https {
			t = service.secure
		}
		t.serve(s, w, req.WithContext(withRule(req.Context(), "", 0, t.host)))
	})
}

func (s *Server) service(v plane.VPCTarget) *vpcService {
	key := v.Host + "\x00" + strconv.Itoa(v.HTTPPort) + "\x00" + strconv.Itoa(v.HTTPSPort) + "\x00" + v.Verify
	s.mu.Lock()
	defer s.mu.Unlock()
	if made := s.services[key]; made != nil {
		return made
	}
	yes := true
	o := tunnelrule.Origin{MatchSNIToHost: &yes}
	if v.Verify == "disabled" {
		o.NoTLSVerify = &yes
	}
	at := func(scheme string, port int) *target {
		return newTarget(scheme+"://"+net.JoinHostPort(v.Host, strconv.Itoa(port)), o)
	}
	made := &vpcService{at("http", v.HTTPPort), at("https", v.HTTPSPort)}
	if v.Verify == "verify_ca" {
		made.secure.checkAuthorityOnly()
	}
	s.services[key] = made
	return made
}

// checkAuthorityOnly makes a target check who has signed a certificate, and not for
// which name.
func (t *target) checkAuthorityOnly() {
	if t.wire == nil { // it says itself why it cannot be reached
		return
	}
	t.wire.TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // VerifyConnection checks
	t.wire.TLSClientConfig.VerifyConnection = func(c tls.ConnectionState) error {
		if len(c.PeerCertificates) == 0 {
			return errors.New("the service shows no certificate")
		}
		o := x509.VerifyOptions{Intermediates: x509.NewCertPool(), Roots: t.wire.TLSClientConfig.RootCAs}
		for _, cert := range c.PeerCertificates[1:] {
			o.Intermediates.AddCert(cert)
		}
		_, err := c.PeerCertificates[0].Verify(o)
		return err
	}
}
