// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// createWorker tries to create a Worker on the plane "paris" and returns what the
// provider says.
func createWorker(t *testing.T, block map[string]any) tfproto.Diagnostics {
	t.Helper()
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": block}, "max_retries": 0})
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, tfproto.Object{"name": "api", "plane": "paris"})
	if d.HasError() {
		t.Fatalf("planning: %s", d)
	}
	state, d := p.Apply(t.Context(), t, plan)
	if state.Object != nil {
		t.Errorf("a failed create leaves a state: %v", state.Object)
	}
	return d
}

func TestAWrongTokenIsSaidToBeWrong(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	d := createWorker(t, map[string]any{"base_url": plane.URL, "account_id": plane.AccountID, "api_token": token})
	expect(t, d, "Cannot create Worker", `create Worker "api"`, `plane "paris"`, plane.URL, "token", "api_token")
}

func TestATokenWithoutThePermissionNamesIt(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	d := createWorker(t, map[string]any{"base_url": plane.URL, "account_id": plane.AccountID, "api_token": plane.TokenFor(t, "read")})
	expect(t, d, "Cannot create Worker", `plane "paris"`, plane.URL, "403", `"Workers Scripts Write"`, plane.AccountID)
}

func TestATokenOfAnotherAccountSaysSo(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	other, err := plane.Registry.CreateAccount(t.Context(), "other", "other")
	if err != nil {
		t.Fatal(err)
	}
	text := registry.MintToken()
	if _, err := plane.Registry.CreateToken(t.Context(), other.ID, "other", text, []string{"Workers Scripts Write"}); err != nil {
		t.Fatal(err)
	}
	d := createWorker(t, map[string]any{"base_url": plane.URL, "account_id": plane.AccountID, "api_token": text})
	expect(t, d, "Cannot create Worker", `plane "paris"`, plane.AccountID, "another account")
}

func TestAPlaneThatIsDownIsNamedWithItsURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL + "/client/v4"
	server.Close()
	d := createWorker(t, map[string]any{"base_url": url, "account_id": account, "api_token": token})
	expect(t, d, "Cannot create Worker", `plane "paris"`, url, "cannot be reached", "Start the plane on this machine", "`hybridge dev`", "base_url")
}

func TestAnswersThatAreNoAPI(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"login page": http.StatusOK, "proxy's error page": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(status)
				fmt.Fprint(w, "<html><body>log in</body></html>")
			}))
			t.Cleanup(server.Close)
			d := createWorker(t, map[string]any{"base_url": server.URL + "/client/v4", "account_id": account, "api_token": token})
			expect(t, d, "Cannot create Worker", `plane "paris"`, server.URL, "text/html", "base_url")
		})
	}
}

func TestAPlaneThatFailsSaysStatusAndWhatToDo(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	plane.Faults.Add(fault.Rule{Method: "POST", Kind: fault.ErrorBefore, Status: 503, Times: -1})
	d := createWorker(t, map[string]any{"base_url": plane.URL, "account_id": plane.AccountID, "api_token": plane.Token})
	expect(t, d, "Cannot create Worker", `plane "paris"`, "503", "This is a failure of the plane: run Terraform again")
	plane.Faults.Clear()
	plane.Faults.Add(fault.Rule{Method: "POST", Kind: fault.TooMany, Times: -1})
	d = createWorker(t, map[string]any{"base_url": plane.URL, "account_id": plane.AccountID, "api_token": plane.Token})
	expect(t, d, "Cannot create Worker", "429", "requests_per_second")
}

func TestAWrongAccountSaysWhichOne(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	d := createWorker(t, map[string]any{"base_url": plane.URL, "account_id": account, "api_token": plane.Token})
	expect(t, d, "Cannot create Worker", account, "account")
}
