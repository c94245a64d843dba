// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/openapi"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// contract checks calls of /hybridge/v1 and their answers against the document.
type contract struct{ router routers.Router }

func hybridgeContract(t *testing.T) contract {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openapi.HybridgeV1)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return contract{router}
}

func (c contract) get(t *testing.T, p *planetest.Plane, token, path string) answer {
	t.Helper()
	return c.call(t, p, http.MethodGet, path, "", "Authorization", "Bearer "+token)
}

// call makes a call. One that is not refused as malformed must be as the document says.
func (c contract) call(t *testing.T, p *planetest.Plane, method, path, body string, headers ...string) answer {
	t.Helper()
	a := try(t, p, method, path, body, headers...)
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s is not in the document: %v", method, path, err)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil && a.status < http.StatusBadRequest {
		t.Errorf("%s %s is against its contract, and was answered with %v: %v", method, path, a, err)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s breaks its contract: %v\n%s", method, path, err, a.body)
	}
	return a
}

func TestHybridgeAnswersKeepTheirContract(t *testing.T) {
	t.Parallel()
	contract := hybridgeContract(t)
	get := func(p *planetest.Plane, token, path string) answer { return contract.get(t, p, token, path) }
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	newDeployment(t, p, "api", newVersion(t, p, "api", ""), 100)

	type planeView struct {
		Kind         string
		Healthy      bool
		Version      string
		Region       string
		Capabilities []string
		Ingress      struct{ Port int }
		Versions     []struct{ Worker, State string }
		Problems     []struct{ Worker, Message string }
	}
	view := func(a answer) (v planeView) {
		t.Helper()
		if a.status != http.StatusOK {
			t.Fatalf("got %v", a)
		}
		if err := json.Unmarshal(a.body, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	got := view(get(p, p.Token, "/hybridge/v1/plane"))
	if got.Kind != "self-hosted" || !got.Healthy || got.Version != "0.0.0-test" || got.Region != "fr" || got.Ingress.Port != 8787 || len(got.Capabilities) == 0 ||
		len(got.Versions) != 1 || got.Versions[0].Worker != "api" || got.Versions[0].State != "ready" {
		t.Errorf("plane: %+v", got)
	}
	_, foreign := p.NewAccount(t, "Other")
	if got := view(get(p, foreign, "/hybridge/v1/plane")); len(got.Versions) != 0 {
		t.Errorf("another account sees %+v", got.Versions)
	}
	if a := get(p, p.NewToken(t, "logs"), "/hybridge/v1/plane"); a.status != http.StatusForbidden {
		t.Errorf("without permission: %v", a)
	}
	if a := get(p, "", "/hybridge/v1/health"); a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != `{"status":"ok"}` {
		t.Errorf("health: %v", a)
	}
	if a := get(p, "", "/hybridge/v1/openapi.json"); !strings.Contains(string(a.body), `"openapi":"3.0.3"`) {
		t.Errorf("document: %.80s", a.body)
	}

	p.Runtime.OnStates = func(list []workerd.VersionState) []workerd.VersionState {
		list[0].State, list[0].Restarts, list[0].LastError = "crash-loop", 7, "Uncaught Error"
		return list
	}
	if a := get(p, "", "/hybridge/v1/health"); a.status != http.StatusServiceUnavailable || strings.TrimSpace(string(a.body)) != `{"status":"degraded"}` {
		t.Errorf("health of a crash loop: %v", a)
	}
	got = view(get(p, p.Token, "/hybridge/v1/plane"))
	if got.Healthy || len(got.Problems) != 1 || got.Problems[0].Worker != "api" || !strings.Contains(got.Problems[0].Message, "crash-loop after 7 restarts") {
		t.Errorf("plane with a crash loop: %+v", got)
	}
	p.Runtime.OnStates = nil

	p.Close()
	p = planetest.New(t, planetest.Options{Dir: p.Dir, Token: p.Token, OnApply: func(workerd.Worker, []workerd.Version) error {
		return errors.New("open /secret/path: no such file")
	}})
	a := get(p, p.Token, "/hybridge/v1/plane")
	if got := view(a); got.Healthy || len(got.Problems) != 1 || strings.Contains(string(a.body), "/secret/path") {
		t.Errorf("plane that could not restore: %s", a.body)
	}
}
