// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const kind = "hybridge_plane"

func TestASelfHostedPlaneSaysWhatItIs(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": map[string]any{
		"base_url": plane.URL, "api_token": plane.Token, "account_id": plane.AccountID, "region": "eu-west",
	}}})
	got, d := p.Data(t.Context(), t, kind, tfproto.Object{"plane": "paris"})
	if len(d) > 0 {
		t.Fatal(d)
	}
	for name, want := range map[string]any{
		"plane": "paris", "account_id": plane.AccountID, "base_url": plane.URL + "/", "region": "eu-west",
		"kind": "self-hosted", "version": "test", "workerd_version": "none", "healthy": true, "details": nil,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestTroubleIsReportedNotRaised(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(html.Close)
	for name, tt := range map[string]struct{ url, token, says string }{
		"down":        {down.URL, plane.Token, "cannot be reached"},
		"proxy":       {html.URL, plane.Token, "text/html"},
		"wrong token": {plane.URL, strings.Repeat("x", 40), "API token"},
	} {
		p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{
			"base_url": tt.url, "api_token": tt.token, "account_id": plane.AccountID, "max_retries": 0,
		})
		got, d := p.Data(t.Context(), t, kind, tfproto.Object{})
		if len(d) > 0 {
			t.Errorf("%s: %s", name, d)
			continue
		}
		details, _ := got["details"].(string)
		if got["healthy"] != false || !strings.Contains(details, tt.says) || !strings.Contains(details, tt.url) {
			t.Errorf("%s: healthy is %v, details are %q; want %q and the URL", name, got["healthy"], details, tt.says)
		}
	}
}

func TestAPlaneInTroubleSaysWhichWorker(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	worker := p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api"})
	plane.Runtime.SetStates(workerd.VersionState{WorkerID: worker.Object["id"].(string), VersionID: "v", State: "crash-loop", Restarts: 5})
	got, d := p.Data(t.Context(), t, kind, tfproto.Object{})
	details, _ := got["details"].(string)
	if len(d) > 0 || got["healthy"] != false || !strings.Contains(details, `"api"`) || !strings.Contains(details, "crash-loop") {
		t.Errorf("healthy is %v, details are %q; %s", got["healthy"], details, d)
	}
}

func TestAnUnknownPlaneIsAnErrorEvenHere(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	if _, d := p.Data(t.Context(), t, kind, tfproto.Object{"plane": "rome"}); !strings.Contains(d.String(), "Unknown plane") {
		t.Errorf("diagnostics: %s", d)
	}
}
