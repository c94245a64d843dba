// SPDX-License-Identifier: MPL-2.0

package leak_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/leak"
)

const account = "0123456789abcdef0123456789abcdef"

func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// version is one of a fake plane; annotations are its own.
type version map[string]string

func made(n int, message, trigger string) string {
	annotations := version{cloudflare.AnnotationMessage: message}
	if trigger != "" {
		annotations[cloudflare.AnnotationTriggeredBy] = trigger
	}
	text, _ := json.Marshal(annotations)
	return fmt.Sprintf(`{"id":"v%d","number":%d,"metadata":{"created_on":"2026-11-0%dT00:00:00Z","author_email":"a@example.com"},"annotations":%s}`, n, n, n, text)
}

func carrying(message string, secrets ...string) string {
	m := cloudflare.Marking{Marker: cloudflare.DigestMarker(sha256.Sum256([]byte("x"))), Message: message}
	for _, s := range secrets {
		m.Secrets = append(m.Secrets, cloudflare.SecretPrefix(digestOf(s)))
	}
	return m.String()
}

// plane answers from a table; what is not in it is an error of the plane.
func plane(t *testing.T, name string, answers map[string]string) leak.Plane {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		result, ok := answers[strings.TrimPrefix(r.URL.Path, "/client/v4/accounts/"+account+"/workers/")]
		switch {
		case r.URL.Query().Get("page") > "1":
			result = "[]"
		case !ok:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"success":false,"errors":[{"code":1,"message":"broken"}],"result":null}`)
			return
		case result == "gone":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"success":false,"errors":[{"code":10007,"message":"no such Worker"}],"result":null}`)
			return
		}
		fmt.Fprintf(w, `{"success":true,"errors":[],"messages":[],"result":%s}`, result)
	}))
	t.Cleanup(server.Close)
	return leak.Plane{Name: name, Open: func(context.Context) (*cloudflare.Client, error) {
		none := 0
		return cloudflare.New(cloudflare.Config{Plane: name, BaseURL: server.URL + "/client/v4", AccountID: account, Token: "t", MaxRetries: &none})
	}}
}

func TestEveryVersionThatCarriesTheSecretIsFound(t *testing.T) {
	t.Parallel()
	p := plane(t, "paris", map[string]string{
		"workers": `[{"id":"w1","name":"shop"},{"id":"w2","name":"blog"},{"id":"w3","name":"left"}]`,
		"scripts/shop/versions": `{"items":[` + strings.Join([]string{
			made(7, "Updated secret \"Y\"", ""),
			made(6, "", "secret"),
			made(5, carrying("without", "other"), ""),
			made(4, carrying("with both", "password", "other"), ""),
			made(3, "uploaded by hand", ""),
			made(2, carrying("with", "password"), ""),
			made(1, "", "secret"), // before any that carries it
		}, ",") + `]}`,
		"scripts/shop/deployments": `{"deployments":[{"id":"d","versions":[{"version_id":"v5","percentage":90},{"version_id":"v4","percentage":10}]}]}`,
		"scripts/blog/versions":    `{"items":[` + made(1, carrying("x", "other"), "") + `]}`,
		"scripts/left/versions":    "gone",
		"workers/left":             "gone",
	})
	var told []string
	answers := leak.Search(t.Context(), []leak.Plane{p}, digestOf("password"), func(text string) { told = append(told, text) })
	a := answers[0]
	var got []string
	for _, c := range a.Carriers {
		got = append(got, fmt.Sprintf("%s/%s/%s %d %v%% %s %v", c.Plane, c.Worker, c.VersionID, c.Number, c.Live, c.Author, c.Declared))
		if !strings.HasSuffix(c.Delete, "/client/v4/accounts/"+account+"/workers/workers/w1/versions/"+c.VersionID) {
			t.Errorf("it is deleted at %s", c.Delete)
		}
	}
	want := []string{
		"paris/shop/v7 7 0% a@example.com false", "paris/shop/v6 6 0% a@example.com false",
		"paris/shop/v4 4 10% a@example.com true", "paris/shop/v2 2 0% a@example.com true",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(a.Problems) > 0 || a.Workers != 3 {
		t.Errorf("of %d Workers, with %v (-want +got):\n%s", a.Workers, a.Problems, diff)
	}
	if diff := cmp.Diff([]string{"asking plane paris about 3 Workers"}, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeAskedHidesNothing(t *testing.T) {
	t.Parallel()
	one := `{"items":[` + made(1, carrying("x", "password"), "") + `]}`
	half := plane(t, "half", map[string]string{
		"workers":                  `[{"id":"w1","name":"good"},{"id":"w2","name":"bad"},{"id":"w3","name":"blind"}]`,
		"scripts/good/versions":    one,
		"scripts/good/deployments": `{"deployments":[]}`,
		"scripts/blind/versions":   one,
	})
	down := plane(t, "down", nil)
	locked := leak.Plane{Name: "locked", Open: func(context.Context) (*cloudflare.Client, error) { return nil, errors.New("no token") }}
	answers := leak.Search(t.Context(), []leak.Plane{down, locked, half}, digestOf("password"), nil)
	for i, want := range [][]string{{"listing Workers"}, {"no token"}, {`"bad"`, `what is live of Worker "blind" is not known`}} {
		all := strings.Join(answers[i].Problems, "\n")
		for _, w := range want {
			if !strings.Contains(all, w) || len(answers[i].Problems) != len(want) {
				t.Errorf("plane %s: %q is not in %s", answers[i].Plane, w, all)
			}
		}
	}
	if len(answers[2].Carriers) != 2 {
		t.Errorf("found %+v", answers[2].Carriers)
	}
}
