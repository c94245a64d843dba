// SPDX-License-Identifier: MPL-2.0

package tunneltoken

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path+".new", []byte(text), 0o600))
	must(t, os.Rename(path+".new", path))
}

// secrets is a SOPS file with the token, for the identity of this machine.
type secrets struct {
	t                         *testing.T
	file, identity, recipient string
}

func newSecrets(t *testing.T) *secrets {
	t.Helper()
	s := &secrets{t: t, file: filepath.Join(t.TempDir(), "paris-1.enc.yaml"), identity: filepath.Join(t.TempDir(), "age-identity")}
	key, recipient, err := sealed.NewAgeKey(time.Now())
	must(t, err)
	write(t, s.identity, key.Reveal())
	s.recipient = recipient
	return s
}

func (s *secrets) seal(token string, recipients ...string) {
	s.t.Helper()
	to, err := sealed.AgeRecipients(recipients...)
	must(s.t, err)
	text, err := sealed.Seal(s.file, sealed.YAML, []sealed.Entry{{Name: "tunnel_token", Value: sealed.NewSecret(token)}}, to, time.Now())
	must(s.t, err)
	write(s.t, s.file, string(text))
}

func (s *secrets) value() *agentfile.SOPSValue {
	return &agentfile.SOPSValue{File: s.file, Key: "tunnel_token", AgeIdentityFile: s.identity}
}

func TestATokenOfASOPSFile(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	source := Of(agentfile.Connector{TokenSOPS: s.value()})
	if _, err := source.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a file: %v", err)
	}

	// A file for another machine does not open, and the error says what to do.
	_, other, err := sealed.NewAgeKey(time.Now())
	must(t, err)
	s.seal("canary-sops", other)
	if _, err := source.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "hybridge agent enroll") || strings.Contains(err.Error(), "canary") {
		t.Errorf("for another machine: %v", err)
	}

	// As soon as it is one for this machine, it does; also when it changes once more.
	for _, token := range []string{"first", "second"} {
		s.seal(token, s.recipient, other)
		got, err := source.Read(t.Context())
		if err != nil || string(got) != token {
			t.Errorf("%q %v, want %q", got, err, token)
		}
	}

	// Its key is looked at once: what is open stays open while the file does not change.
	must(t, os.Remove(s.identity))
	if got, err := source.Read(t.Context()); err != nil || string(got) != "second" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := Of(agentfile.Connector{TokenSOPS: &agentfile.SOPSValue{File: s.file, Key: "nothing", AgeIdentityFile: s.identity}}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "tunnel_token") {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestAnIdentityThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	s.seal("canary-sops", s.recipient)
	must(t, os.Chmod(s.identity, 0o644))
	if _, err := Of(agentfile.Connector{TokenSOPS: s.value()}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Errorf("%v", err)
	}
}

// tunnel is one on a plane, whose API counts questions.
type tunnel struct {
	client *cloudflare.Client
	plane  *planetest.Plane
	id     string
	asked  atomic.Int64
	broken atomic.Bool
}

func newTunnel(t *testing.T) *tunnel {
	t.Helper()
	n := &tunnel{}
	n.plane = planetest.New(t, planetest.Options{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/token") {
				n.asked.Add(1)
				if n.broken.Load() {
					http.Error(w, "down", http.StatusBadGateway)
					return
				}
			}
			h.ServeHTTP(w, req)
		})
	}})
	var err error
	n.client, err = cloudflare.New(cloudflare.Config{BaseURL: n.plane.BaseURL, AccountID: n.plane.AccountID, Token: n.plane.Token})
	must(t, err)
	made, err := n.client.CreateTunnel(t.Context(), "paris-1")
	must(t, err)
	n.id = made.ID
	return n
}

func (n *tunnel) source(t *testing.T, apiToken string, refresh time.Duration) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api-token")
	write(t, path, apiToken+"\n")
	return Of(agentfile.Connector{TunnelID: n.id, TokenFromAPI: &agentfile.TokenFromAPI{
		AccountID: n.plane.AccountID, BaseURL: n.plane.BaseURL, APITokenFile: path, Refresh: agentfile.Duration(refresh),
	}})
}

func TestTheAgentAsksForItsTokenItself(t *testing.T) {
	t.Parallel()
	n := newTunnel(t)
	want, err := n.client.TunnelToken(t.Context(), n.id)
	must(t, err)
	n.asked.Store(0)
	source := n.source(t, n.plane.Token, time.Hour)
	for range 5 {
		got, err := source.Read(t.Context())
		if err != nil || string(got) != want {
			t.Fatalf("not the tunnel's token: %v", err)
		}
	}
	if n.asked.Load() != 1 {
		t.Errorf("it asked %d times within the refresh interval", n.asked.Load())
	}

	// A rotation is noticed with the next question.
	source = n.source(t, n.plane.Token, time.Millisecond)
	_, err = source.Read(t.Context())
	must(t, err)
	must(t, n.client.RotateTunnelSecret(t.Context(), n.id))
	time.Sleep(2 * time.Millisecond)
	if got, err := source.Read(t.Context()); err != nil || string(got) == want {
		t.Errorf("the token is the one before the rotation: %v", err)
	}
}

func TestAnAPIThatIsDownOrRefusesIsSaidAndNotStormed(t *testing.T) {
	t.Parallel()
	n := newTunnel(t)
	n.broken.Store(true)
	source := n.source(t, n.plane.Token, time.Hour)
	for range 3 {
		if _, err := source.Read(t.Context()); err == nil || !strings.Contains(err.Error(), n.id) {
			t.Errorf("%v", err)
		}
	}
	if n.asked.Load() != 1 {
		t.Errorf("it asked %d times", n.asked.Load())
	}
	n.broken.Store(false)

	// A token that may only read tunnels gets none, and is told what it lacks.
	reader := n.plane.NewToken(t, "Cloudflare Tunnel Read")
	_, err := n.source(t, reader, time.Hour).Read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Cloudflare Tunnel Write") || strings.Contains(err.Error(), reader) {
		t.Errorf("%v", err)
	}
	missing := Of(agentfile.Connector{TunnelID: n.id, TokenFromAPI: &agentfile.TokenFromAPI{AccountID: n.plane.AccountID, BaseURL: n.plane.BaseURL, APITokenFile: "/nowhere/token"}})
	if _, err := missing.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the API token") {
		t.Errorf("%v", err)
	}
	gone := n.source(t, n.plane.Token, time.Hour)
	must(t, n.client.DeleteTunnel(t.Context(), n.id))
	if _, err := gone.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("of a deleted tunnel: %v", err)
	}
}

func TestTheAPITokenMayLieInASOPSFile(t *testing.T) {
	t.Parallel()
	n, s := newTunnel(t), newSecrets(t)
	s.seal(n.plane.Token, s.recipient)
	source := Of(agentfile.Connector{TunnelID: n.id, TokenFromAPI: &agentfile.TokenFromAPI{
		AccountID: n.plane.AccountID, BaseURL: n.plane.BaseURL, APITokenSOPS: s.value(),
	}})
	if got, err := source.Read(t.Context()); err != nil || len(got) == 0 {
		t.Errorf("%v", err)
	}
}
