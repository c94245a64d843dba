// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// RealPlane is a self-hosted plane in the test process that runs real workerd.
type RealPlane struct {
	URL       string // of the API, behind Faults; ends in /client/v4
	AccountID string
	Token     string
	Ingress   string // host:port
	Agent     *agent.Agent
	Faults    *fault.Script
}

// NewRealPlane starts a plane that lives as long as the test.
func NewRealPlane(t testing.TB) *RealPlane {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var id agent.Identity
	a, err := agent.Start(t.Context(), agent.Config{
		DataDir: dir, API: "127.0.0.1:0", Ingress: "127.0.0.1:0", Workerd: workerdtest.Path(t), Version: "test",
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: testLog{t}}),
		Prepare: func(ctx context.Context, reg *registry.Registry) (err error) {
			id, err = agent.EnsureIdentity(ctx, reg)
			return err
		},
	})
	if err != nil {
		t.Fatalf("starting a plane: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), agent.DefaultStopWaitUntil)
		defer cancel()
		_ = a.Close(ctx)
	})
	faults := &fault.Script{}
	server := httptest.NewServer(faults.Handler(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: a.Addresses().API})))
	t.Cleanup(server.Close)
	return &RealPlane{URL: server.URL + "/client/v4", AccountID: id.AccountID, Token: id.Token, Ingress: a.Addresses().Ingress, Agent: a, Faults: faults}
}

type testLog struct{ t testing.TB }

func (w testLog) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

// Env is an environment that configures the plane as the default one.
func (p *RealPlane) Env(name string) string { return envOf(name, p.URL, p.AccountID, p.Token) }

// Somebody is a client that is not the provider's.
func (p *RealPlane) Somebody(t testing.TB) *cloudflare.Client {
	t.Helper()
	c, err := cloudflare.New(cloudflare.Config{BaseURL: p.URL, AccountID: p.AccountID, Token: p.Token, UserAgent: "wrangler/4.164.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Upload makes a version of a Worker from one module, with a version_metadata binding
// VERSION and these bindings, and returns its id.
func (p *RealPlane) Upload(t testing.TB, worker, source string, bindings ...map[string]any) string {
	t.Helper()
	id, err := p.TryUpload(t, worker, source, bindings...)
	if err != nil {
		t.Fatalf("uploading a version: %v", err)
	}
	return id
}

// TryUpload is Upload for what may be refused.
func (p *RealPlane) TryUpload(t testing.TB, worker, source string, bindings ...map[string]any) (string, error) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"main_module": "index.js", "compatibility_date": "2026-01-01",
		"bindings": append([]map[string]any{{"type": "version_metadata", "name": "VERSION"}}, bindings...),
		"modules": []map[string]any{{
			"name": "index.js", "content_type": "application/javascript+module", "content_base64": base64.StdEncoding.EncodeToString([]byte(source)),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Somebody(t).CreateVersion(t.Context(), worker, cloudflare.VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}})
	if err != nil {
		return "", err
	}
	return v.ID, nil
}
