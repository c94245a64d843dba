// SPDX-License-Identifier: MPL-2.0

package packaging_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/alert"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

func TestEveryKindOfAlertIsDescribed(t *testing.T) {
	t.Parallel()
	text, guide := read(t, "alerts/README.md"), read(t, "../templates/guides/operations.md")
	for kind, delays := range alert.DefaultDelays {
		after := map[time.Duration]string{0: "at once", 10 * time.Second: "10 seconds", 30 * time.Second: "30 seconds", time.Minute: "1 minute"}[delays.Raise]
		described := false
		for line := range strings.Lines(text) {
			described = described || strings.HasPrefix(line, "| `"+kind+"` |") && after != "" && strings.HasSuffix(strings.TrimSpace(line), "| "+after+" |")
		}
		if !described || !strings.Contains(guide, "`"+kind+"`") {
			t.Errorf("%s, told after %s, is not described", kind, delays.Raise)
		}
	}
}

// The example of a receiver, on real workerd, takes what the agent signs and nothing else.
func TestTheReceiverOfAlerts(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Workerd: true})
	call := func(path string, body any) json.RawMessage {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.BaseURL+"/accounts/"+p.AccountID+path, strings.NewReader(string(text)))
		req.Header.Set("Authorization", "Bearer "+p.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		var env struct{ Result json.RawMessage }
		if err := json.Unmarshal(answer, &env); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", path, resp.Status, answer)
		}
		return env.Result
	}
	const secret = "correct-horse-battery-staple-alerts"
	type object map[string]any
	call("/workers/workers", object{"name": "alerts", "subdomain": object{"enabled": true}})
	var v struct{ ID string }
	if err := json.Unmarshal(call("/workers/workers/alerts/versions", object{
		"main_module": "receiver.mjs", "compatibility_date": "2025-09-01",
		"modules":  []object{{"name": "receiver.mjs", "content_type": "application/javascript+module", "content_base64": base64.StdEncoding.EncodeToString([]byte(read(t, "alerts/receiver.mjs")))}},
		"bindings": []object{{"name": "SECRET", "type": "secret_text", "text": secret}},
	}), &v); err != nil {
		t.Fatal(err)
	}
	call("/workers/scripts/alerts/deployments", object{"strategy": "percentage", "versions": []object{{"version_id": v.ID, "percentage": 100}}})

	send := func(key, body string, at time.Time, tamper func(http.Header)) (int, string) {
		t.Helper()
		signer, err := standardwebhooks.NewWebhookRaw([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.Sign("id-raised", at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.IngressURL, strings.NewReader(body))
		req.Host = "alerts." + planetest.Subdomain + ".localhost"
		req.Header.Set(standardwebhooks.HeaderWebhookID, "id-raised")
		req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
		if tamper != nil {
			tamper(req.Header)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, strings.TrimSpace(string(text))
	}
	const raised = `{"type":"alert.raised","data":{"alert":{"kind":"disk_filling","subject":"/var/lib/hybridge","detail":"3% are free"},"agent":{"machine":"vps-1","region":"fr"}}}`
	const resolved = `{"type":"alert.resolved","data":{"alert":{"kind":"disk_filling","subject":"/var/lib/hybridge"},"agent":{"machine":"vps-1"}}}`
	for name, c := range map[string]struct {
		key, body string
		at        time.Time
		tamper    func(http.Header)
		status    int
		says      string
	}{
		"raised":          {secret, raised, time.Now(), nil, 200, "vps-1 (fr): disk_filling /var/lib/hybridge: 3% are free"},
		"resolved":        {secret, resolved, time.Now(), nil, 200, "vps-1: disk_filling /var/lib/hybridge has ended"},
		"a rollout":       {secret, `{"type":"rollout.baking","data":{}}`, time.Now(), nil, 204, ""},
		"an old one":      {secret, raised, time.Now().Add(-time.Hour), nil, 401, "the signature is wrong or old"},
		"another key":     {"another-key-that-is-long-enough", raised, time.Now(), nil, 401, "the signature is wrong or old"},
		"another id":      {secret, raised, time.Now(), func(h http.Header) { h.Set("webhook-id", "other") }, 401, "the signature is wrong or old"},
		"no signature":    {secret, raised, time.Now(), func(h http.Header) { h.Del("webhook-signature") }, 401, "the signature is wrong or old"},
		"a torn one":      {secret, raised, time.Now(), func(h http.Header) { h.Set("webhook-signature", "v1,%%%") }, 401, "the signature is wrong or old"},
		"several of them": {secret, raised, time.Now(), func(h http.Header) { h.Set("webhook-signature", "v1a,x v1,eA== "+h.Get("webhook-signature")) }, 200, "vps-1 (fr): disk_filling /var/lib/hybridge: 3% are free"},
	} {
		if status, says := send(c.key, c.body, c.at, c.tamper); status != c.status || says != c.says {
			t.Errorf("%s: %d %q, want %d %q", name, status, says, c.status, c.says)
		}
	}
}
