// SPDX-License-Identifier: MPL-2.0

package doppler_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/doppler"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

const token = "dp.st.prd.secret-of-the-token"

// shop is a Doppler with one config, which misbehaves as it is told.
type shop struct {
	*httptest.Server
	t      *testing.T
	secret string
	waits  []time.Duration
	said   strings.Builder // every notice and error

	faults   []http.HandlerFunc // one for each of the first requests; nil: none
	requests atomic.Int64
}

func newShop(t *testing.T, faults ...http.HandlerFunc) *shop {
	t.Helper()
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, secret: "canary/<" + hex.EncodeToString(random), faults: faults}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) answer() []byte {
	text, _ := json.Marshal(map[string]string{
		"DB_PASSWORD": s.secret, "EMPTY": "", "DOPPLER_PROJECT": "api", "DOPPLER_CONFIG": "prd", "DOPPLER_ENVIRONMENT": "prd",
	})
	return text
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	n := int(s.requests.Add(1)) - 1
	if got := r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery; got != "GET /v3/configs/config/secrets/download?config=prd&format=json&project=api" {
		s.t.Errorf("request %s", got)
	}
	if n < len(s.faults) && s.faults[n] != nil {
		s.faults[n](w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		status(http.StatusUnauthorized, s.secret)(w, r)
		return
	}
	_, _ = w.Write(s.answer())
}

// status answers with an error whose body holds a secret.
func status(code int, secret string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"success":false,"messages":["%s"]}`, secret)
	}
}

// download asks the shop; waits are recorded, and not waited.
func (s *shop) download(change ...func(*doppler.Config)) (map[string]string, error) {
	s.t.Helper()
	cfg := doppler.Config{
		BaseURL: s.URL, Token: sealed.NewSecret(token),
		Notice: func(text string) { fmt.Fprintln(&s.said, text) },
		Sleep:  func(_ context.Context, d time.Duration) error { s.waits = append(s.waits, d); return nil },
	}
	for _, c := range change {
		c(&cfg)
	}
	client, err := doppler.New(cfg)
	if err != nil {
		return nil, err
	}
	secrets, err := client.Download(s.t.Context(), "api", "prd")
	fmt.Fprintln(&s.said, err, fmt.Sprintf("%v %+v %#v", secrets, secrets, secrets))
	for _, hidden := range []string{s.secret, token} {
		if forms := canary.In([]byte(s.said.String()), hidden); len(forms) > 0 {
			s.t.Errorf("a secret is told (%s):\n%s", strings.Join(forms, ", "), s.said.String())
		}
	}
	out := map[string]string{}
	for name, secret := range secrets {
		out[name] = secret.Reveal()
	}
	return out, err
}

func TestASecretIsReadAsItIs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	got, err := s.download()
	want := map[string]string{"DB_PASSWORD": s.secret, "EMPTY": "", "DOPPLER_PROJECT": "api", "DOPPLER_CONFIG": "prd", "DOPPLER_ENVIRONMENT": "prd"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestWhatPassesIsWaitedFor(t *testing.T) {
	t.Parallel()
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"DB_PASSWORD":"hal`))
	}
	reset := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, tc := range map[string]struct {
		faults []http.HandlerFunc
		waits  []time.Duration // at least
	}{
		"429 that says when":  {[]http.HandlerFunc{status(429, "", "Retry-After", "7")}, []time.Duration{7 * time.Second}},
		"429 that says not":   {[]http.HandlerFunc{status(429, ""), status(429, "")}, []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}},
		"500":                 {[]http.HandlerFunc{status(500, "")}, []time.Duration{0}},
		"502, 503, 504":       {[]http.HandlerFunc{status(502, ""), status(503, ""), status(504, "")}, []time.Duration{0, 0, 0}},
		"truncated":           {[]http.HandlerFunc{half}, []time.Duration{0}},
		"a broken connection": {[]http.HandlerFunc{reset}, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tc.faults...)
			got, err := s.download()
			if err != nil || got["DB_PASSWORD"] != s.secret {
				t.Fatalf("%v %v", slices.Sorted(maps.Keys(got)), err)
			}
			if len(s.waits) != len(tc.waits) {
				t.Fatalf("waited %v", s.waits)
			}
			for i, least := range tc.waits {
				if s.waits[i] < least || s.waits[i] > least+8*time.Second {
					t.Errorf("wait %d was %s, want %s at least", i, s.waits[i], least)
				}
			}
			if strings.Count(s.said.String(), "trying again in") != len(tc.waits) {
				t.Errorf("who waits is told\n%s", s.said.String())
			}
		})
	}
}

func TestWhatDoesNotPassSaysWhatToDo(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	always := func(h http.HandlerFunc) []http.HandlerFunc { return slices.Repeat([]http.HandlerFunc{h}, 9) }
	body := func(text string) []http.HandlerFunc {
		return []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }}
	}
	impatient := func(c *doppler.Config) { c.Timeout = 300 * time.Millisecond }
	for name, tc := range map[string]struct {
		faults   []http.HandlerFunc
		change   func(*doppler.Config)
		requests int
		want     []string
	}{
		"500 for ever":       {always(status(500, "leak")), nil, 5, []string{"after 5 attempts", "status 500", "later"}},
		"429 for an hour":    {always(status(429, "leak", "Retry-After", "3600")), nil, 1, []string{"status 429", "asks to wait 1h0m0s"}},
		"401":                {always(status(401, "leak")), nil, 1, []string{"not valid", "new service token"}},
		"403":                {always(status(403, "leak")), nil, 1, []string{"may not read this config", "give it access"}},
		"404":                {always(status(404, "leak")), nil, 1, []string{`project "api", config "prd"`, "check --project and --config"}},
		"418":                {always(status(418, "leak")), nil, 1, []string{"status 418", "--base-url"}},
		"HTML":               {body("<html>leak</html>"), nil, 1, []string{"not Doppler's API", "--base-url"}},
		"a list":             {body(`["leak"]`), nil, 1, []string{"not Doppler's API"}},
		"null":               {body(`null`), nil, 1, []string{"not Doppler's API"}},
		"values of no text":  {body(`{"A":{"computed":"leak"}}`), nil, 1, []string{"not Doppler's API"}},
		"a value that is no": {body(`{"A":null}`), nil, 1, []string{"not Doppler's API"}},
		"half of an object":  {body(`{"A":"leak`), nil, 1, []string{"not Doppler's API"}},
		"too much":           {body(`{"A":"` + strings.Repeat("leak", 4<<20) + `"}`), nil, 1, []string{"larger than 16 MiB", "split"}},
		"slow":               {always(slow), impatient, 5, []string{"after 5 attempts", "breaks off"}},
		"silent":             {always(silent), impatient, 5, []string{"does not answer within 300ms"}},
		"another config":     {body(`{"DOPPLER_PROJECT":"api","DOPPLER_CONFIG":"leak","A":"leak"}`), nil, 1, []string{"not for project", "correct --project and --config"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tc.faults...)
			change := tc.change
			if change == nil {
				change = func(*doppler.Config) {}
			}
			got, err := s.download(change)
			if err == nil || len(got) > 0 {
				t.Fatalf("it succeeds with %v", slices.Sorted(maps.Keys(got)))
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if strings.Contains(s.said.String(), "leak") {
				t.Errorf("the body is told: %s", s.said.String())
			}
			if n := int(s.requests.Load()); n != tc.requests {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestAnAnswerThatIsNoHTTPIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"{\"A\":\"leak\"}\r\n\r\n",
		"HTTP/1.1 leak\r\n\r\n",
		"HTTP/1.1 200 OK\r\n{\"A\": \"leak\"}\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: leak\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: leak\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nleak\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://a b/leak\r\nContent-Length: 0\r\n\r\n",
		"",
	} {
		s := newShop(t, slices.Repeat([]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}}, 9)...)
		_, err := s.download()
		if err == nil || strings.Contains(s.said.String(), "leak") || !strings.Contains(err.Error(), "after 5 attempts") {
			t.Errorf("after %q: %v\n%s", answer, err, s.said.String())
		}
	}
}

func TestWhoeverCannotBeReachedIsNamed(t *testing.T) {
	t.Parallel()
	plain := newShop(t)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	for base, want := range map[string]string{
		strings.Replace(plain.URL, "http:", "https:", 1): "HTTP response to HTTPS client",
		secure.URL: "certificate",
		closed.URL: "connection refused",
	} {
		_, err := plain.download(func(c *doppler.Config) { c.BaseURL = base })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestARedirectTakesTheTokenNowhere(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 9)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- fmt.Sprint(r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := newShop(t, status(code, "", "Location", elsewhere.URL+"/?leak"))
		_, err := s.download()
		if err == nil || !strings.Contains(err.Error(), "redirect") || strings.Contains(err.Error(), "leak") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if len(reached) > 0 {
		t.Errorf("the redirect was followed: %s", <-reached)
	}
}

func TestAWrongTokenIsNotTold(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	wrong := "dp.st.dev.of-another"
	_, err := s.download(func(c *doppler.Config) { c.Token = sealed.NewSecret(wrong) })
	if err == nil || !strings.Contains(err.Error(), "not valid") || strings.Contains(err.Error(), wrong) {
		t.Error(err)
	}
}

func TestWhatCannotBeAskedIsRefusedBeforeARequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  doppler.Config
		want string
	}{
		"http":         {doppler.Config{BaseURL: "http://doppler.example.com", Token: sealed.NewSecret(token)}, "use https"},
		"no URL":       {doppler.Config{BaseURL: "doppler.example.com", Token: sealed.NewSecret(token)}, "no http or https URL"},
		"credentials":  {doppler.Config{BaseURL: "https://u:" + token + "@doppler.example.com", Token: sealed.NewSecret(token)}, "credentials"},
		"no token":     {doppler.Config{}, "DOPPLER_TOKEN"},
		"a line break": {doppler.Config{Token: sealed.NewSecret(token + "\n")}, "line break"},
	} {
		if _, err := doppler.New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"https://doppler.example.com", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", ""} {
		if _, err := doppler.New(doppler.Config{BaseURL: base, Token: sealed.NewSecret(token)}); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestWhoeverWaitsCanStop(t *testing.T) {
	t.Parallel()
	s := newShop(t, status(500, ""))
	stopped := errors.New("stopped")
	_, err := s.download(func(c *doppler.Config) { c.Sleep = func(context.Context, time.Duration) error { return stopped } })
	if !errors.Is(err, stopped) || s.requests.Load() != 1 {
		t.Errorf("%v after %d requests", err, s.requests.Load())
	}
}
