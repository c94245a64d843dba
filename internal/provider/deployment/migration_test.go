// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// Cloudflare's edge says of a version which migration of Durable Objects it was deployed
// with. A self-hosted plane has none, so a proxy before it adds the tag.
func TestARollbackOverAMigrationIsRefusedAtPlan(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	tagged := s.v2
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: to.Scheme, Host: to.Host})
	proxy.ModifyResponse = func(resp *http.Response) error {
		if !strings.HasSuffix(resp.Request.URL.Path, "/versions/"+tagged) {
			return nil
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		body = bytes.Replace(body, []byte(`"result":{`), []byte(`"result":{"migration_tag":"v1",`), 1)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	edge := httptest.NewServer(proxy)
	t.Cleanup(edge.Close)
	s.block = tfproto.Object{"base_url": edge.URL + to.Path}

	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	state = s.applied(state, s.config(s.v2))
	back := s.config(s.v2, tfproto.Object{"rollback_to": "previous"})
	s.restart()
	_, d := s.provider.Plan(t.Context(), t, s.read(state), back)
	if !d.HasError() {
		t.Fatalf("a rollback over a migration is planned: %s", d)
	}
	for _, part := range []string{"Rollback over a migration", s.v1, s.v2, "(none) -> v1", "Go forward"} {
		if !strings.Contains(d.String(), part) {
			t.Errorf("the refusal lacks %q:\n%s", part, d)
		}
	}
	tagged = "none" // the same without a migration in between
	s.restart()
	if _, d := s.provider.Plan(t.Context(), t, s.read(state), back); d.HasError() {
		t.Errorf("without a migration: %s", d)
	}
}
