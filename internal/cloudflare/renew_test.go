// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

// A version with today's secrets is the older one in everything else, or it is not made.
func TestAVersionWithOtherSecretsIsWholeOrNotMade(t *testing.T) {
	t.Parallel()
	const old, current = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
	for name, tt := range map[string]struct {
		more, lacks string // of the older version; what cannot be copied of it
	}{
		"plain":        {``, ""},
		"nothing more": {`,"assets":null,"containers":[],"exports":{}`, ""},
		"cached":       {`,"cache_options":{"enabled":true},"placement":{"mode":"smart"},"limits":{"cpu_ms":50},"exports":{"Admin":{"type":"worker"}}`, ""},
		"assets":       {`,"assets":{"config":{"html_handling":"auto-trailing-slash"}}`, "static assets"},
		"containers":   {`,"containers":[{"class_name":"Box"}]`, "containers"},
		"exports":      {`,"exports":{"Admin":{"type":"worker"},"Counter":{"type":"durable_object","storage":"sqlite"}}`, "exported Durable Objects"},
		"all":          {`,"assets":{"config":{}},"exports":{"A":{}}`, "static assets and exported Durable Objects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posted []string
			c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
				cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
					body := testWorker
					switch {
					case req.Method != http.MethodGet:
						text, err := io.ReadAll(req.Body)
						if err != nil {
							return nil, err
						}
						posted, body = append(posted, string(text)), testVersion
					case strings.HasSuffix(req.URL.Path, "/versions"):
						body = `{"success":true,"result":{"items":[]}}`
					case strings.HasSuffix(req.URL.Path, old):
						body = `{"success":true,"result":{"id":"` + old + `","number":1,"created_on":"2026-01-02T03:04:05Z","main_module":"index.js"` + tt.more + `}}`
					case strings.HasSuffix(req.URL.Path, current):
						body = `{"success":true,"result":{"id":"` + current + `","number":2,"created_on":"2026-01-02T03:04:05Z"}}`
					}
					return &http.Response{
						StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: req, Body: io.NopCloser(strings.NewReader(body)),
					}, nil
				})
			})
			_, planned := c.PlanRenewal(t.Context(), "api", old, current)
			_, made := c.RenewSecrets(t.Context(), "api", old, current, "back", Run{})
			if tt.lacks == "" {
				if planned != nil || made != nil || len(posted) != 1 {
					t.Fatalf("planning: %v, making: %v, uploads: %q", planned, made, posted)
				}
				for _, part := range strings.Split(strings.Trim(tt.more, ","), `,"`) {
					if name == "cached" && !strings.Contains(posted[0], part) {
						t.Errorf("%s is lost: %s", part, posted[0])
					}
				}
				return
			}
			for _, err := range []error{planned, made} {
				if err == nil || !strings.Contains(err.Error(), "has "+tt.lacks+", which cannot be copied") {
					t.Errorf("it says: %v", err)
				}
			}
			if len(posted) > 0 {
				t.Errorf("a version without them was made: %s", posted)
			}
		})
	}
}
