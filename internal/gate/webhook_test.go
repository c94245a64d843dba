// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// receiver verifies and records the questions, and answers with one function after
// the other, with the last for ever.
type receiver struct {
	t         *testing.T
	clock     *fakeClock
	answers   []http.HandlerFunc
	at        []time.Duration
	ids       []string
	bodies    []string
	questions int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
	}
	hook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		r.t.Error(err)
	}
	if err := hook.VerifyIgnoringTimestamp(body, q.Header); err != nil {
		r.t.Errorf("the signature is not good: %v", err)
	}
	if got := q.Header.Get("Webhook-Timestamp"); got != strconv.FormatInt(r.clock.Now().Unix(), 10) {
		r.t.Errorf("the timestamp is %s", got)
	}
	if q.Method != http.MethodPost || q.URL.Path != "/verdict" || q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("the request is %s %s %v", q.Method, q.URL, q.Header)
	}
	r.at = append(r.at, r.clock.since())
	r.ids, r.bodies = append(r.ids, q.Header.Get("Webhook-Id")), append(r.bodies, string(body))
	r.questions++
	r.answers[min(r.questions, len(r.answers))-1](w, q)
}

func says(status int, text string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func subject() Subject {
	return Subject{
		RolloutID: "2f0c", Worker: "api", Plane: "paris", Target: Version{ID: target, Digest: "sha256:aa", Marker: "hb1:x"},
		Previous: &Version{ID: previous}, Run: Run{"run-1", "prod", "c0ffee"},
	}
}

func newWebhook(t *testing.T, answers ...http.HandlerFunc) (*Webhook, *receiver) {
	t.Helper()
	r := &receiver{t: t, clock: newClock(), answers: answers}
	g, err := NewWebhook(WebhookConfig{
		URL: serve(t, r.ServeHTTP) + "/verdict", Name: "release", Subject: subject(),
		Secret: func() ([]byte, error) { return key, nil },
	}, r.clock)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Asks() {
		t.Error("a webhook is asked")
	}
	return g, r
}

func TestAWebhookIsToldWhatItDecidesAbout(t *testing.T) {
	t.Parallel()
	g, r := newWebhook(t, says(200, `{"verdict":"pass","reason":"nice\u001b[2J work","ticket":7}`))
	c := candidate(30 * time.Second)
	c.Verdicts = []rollout.Verdict{{Gate: "health", Step: 1, Pass: true, Reason: "good", Detail: "a customer's data"}}
	v := g.Judge(t.Context(), c)
	want(t, v, true, "the webhook said pass")
	if v.Detail != "the webhook's reason: nice [2J work" {
		t.Errorf("the detail is %q", v.Detail)
	}
	var got any
	if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{
		"type": "rollout.gate", "timestamp": "2026-11-20T12:00:00Z",
		"data": map[string]any{
			"rollout_id": "2f0c", "worker": "api", "plane": "paris", "gate": "release",
			"target":   map[string]any{"id": target, "digest": "sha256:aa", "marker": "hb1:x"},
			"previous": map[string]any{"id": previous},
			"run":      map[string]any{"id": "run-1", "workspace": "prod", "commit": "c0ffee"},
			"step":     1., "steps": 3., "percentage": 10., "since": "2026-11-20T12:00:00Z", "bake_seconds": 30.,
			"verdicts": []any{map[string]any{"gate": "health", "step": 1., "pass": true, "reason": "good"}},
		},
	}, got); diff != "" {
		t.Errorf("the body (-want +got):\n%s", diff)
	}
}

func TestWaitIsAskedAgainAsTheSameQuestion(t *testing.T) {
	t.Parallel()
	g, r := newWebhook(t,
		says(202, `{"verdict":"wait"}`), says(503, "later"), says(429, "", "Retry-After", "60"), func(w http.ResponseWriter, _ *http.Request) { reset(w) },
		func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"verdict\":\"pass\"}")
		},
		says(200, `{"verdict":"wait","reason":"Ann sleeps"}`, "Retry-After", "86400"), says(200, `{"verdict":"fail","reason":"no"}`))
	v := g.Judge(t.Context(), candidate(0))
	want(t, v, false, "the webhook said fail")
	if v.Detail != "the webhook's reason: no" {
		t.Errorf("the detail is %q", v.Detail)
	}
	for i, id := range r.ids {
		if id != r.ids[0] || !strings.HasPrefix(id, "gate_") || strings.Contains(id, ".") || r.bodies[i] != r.bodies[0] {
			t.Errorf("request %d is another question: %s %s", i, id, r.bodies[i])
		}
	}
	// 1, 2, 4, 8, 16 s, each spread by a quarter, unless Retry-After wants more.
	wanted := []time.Duration{time.Second, 2 * time.Second, time.Minute, 8 * time.Second, 16 * time.Second, retryAfterCap}
	if len(r.clock.sleeps) != len(wanted) {
		t.Fatalf("the pauses are %v", r.clock.sleeps)
	}
	for i, d := range r.clock.sleeps {
		if diff := float64(d-wanted[i]) / float64(wanted[i]); diff < -.25 || diff > .25 {
			t.Errorf("pause %d is %s, want about %s", i, d, wanted[i])
		}
	}

	for id, same := range map[string]bool{messageID("d1", "release"): true, messageID("d2", "release"): false, messageID("d1", "other"): false} {
		if (id == r.ids[0]) != same {
			t.Error("an id does not name its question")
		}
	}
}

func TestPausesGrowAndStayWithinBounds(t *testing.T) {
	t.Parallel()
	for n := 1; n < 100; n++ {
		if d := pause(n); d < firstPause || d > longestPause || n > 6 && d < longestPause*3/4 {
			t.Errorf("pause %d is %s", n, d)
		}
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999": 0,
		"Fri, 20 Nov 2026 12:00:40 GMT": 40 * time.Second, "Fri, 20 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, epoch); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}

func TestNoDecisionFailsAtTheTimeout(t *testing.T) {
	t.Parallel()
	g, r := newWebhook(t, says(500, "x"), says(200, `{"verdict":"wait","reason":"Ann sleeps"}`, "Retry-After", "240"))
	g.Timeout = 10 * time.Minute
	v := g.Judge(t.Context(), candidate(0))
	want(t, v, false, "the webhook has not decided within 10m0s (4 answers to wait, 1 request without one)")
	if v.Detail != "the webhook's reason: Ann sleeps" {
		t.Errorf("the detail is %q", v.Detail)
	}
	if last := r.at[len(r.at)-1]; last != 10*time.Minute {
		t.Errorf("the last request was after %s", last)
	}
}

func TestAWebhookThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	g, r := newWebhook(t, func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, `{"verdict":`)
		w.(http.Flusher).Flush()
		<-q.Context().Done()
	})
	g.Timeout = 300 * time.Millisecond
	want(t, g.Judge(t.Context(), candidate(0)), false, "the webhook has not decided within 300ms (0 answers to wait, 2 requests without one)")
	if r.questions != 2 {
		t.Errorf("%d requests", r.questions)
	}
}

func TestWhatIsNoAnswerFailsAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"redirect":      {says(307, "", "Location", "http://127.0.0.1:1/"), "the webhook answered with status 307"},
		"not found":     {says(404, "not here"), "the webhook answered with status 404"},
		"unauthorized":  {says(401, ""), "the webhook answered with status 401"},
		"no content":    {says(204, ""), "the webhook's answer is malformed: not a JSON object"},
		"too large":     {says(200, `{"verdict":"pass","reason":"`+strings.Repeat("x", answerLimit)+`"}`), "the webhook's answer has more than 16384 bytes"},
		"HTML":          {says(200, "<html>pass</html>"), "the webhook's answer is malformed: not a JSON object"},
		"a list":        {says(200, `["pass"]`), "the webhook's answer is malformed: not a JSON object"},
		"invalid UTF-8": {says(200, "{\"verdict\":\"pass\",\"reason\":\"\xff\"}"), "the webhook's answer is malformed: not UTF-8"},
		"cut off":       {says(200, `{"verdict":"pass"`), "the webhook's answer is malformed: not JSON"},
		"cut off value": {says(200, `{"verdict":`), "the webhook's answer is malformed: not JSON"},
		"two objects":   {says(200, `{"verdict":"pass"} {}`), "the webhook's answer is malformed: something after the JSON object"},
		"two verdicts":  {says(200, `{"verdict":"fail","verdict":"pass"}`), "the webhook's answer is malformed: a member that is there twice"},
		"no verdict":    {says(200, `{}`), `the webhook's answer is malformed: no verdict "pass", "fail" or "wait"`},
		"other case":    {says(200, `{"Verdict":"pass"}`), `the webhook's answer is malformed: no verdict "pass", "fail" or "wait"`},
		"other verdict": {says(200, `{"verdict":"PASS"}`), `the webhook's answer is malformed: no verdict "pass", "fail" or "wait"`},
		"a true":        {says(200, `{"verdict":true}`), `the webhook's answer is malformed: no verdict "pass", "fail" or "wait"`},
		"an odd reason": {says(200, `{"verdict":"pass","reason":{}}`), "the webhook's answer is malformed: a reason that is no string"},
		"deep":          {says(200, `{"x":`+strings.Repeat("[", 12000)), "the webhook's answer is malformed: not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, r := newWebhook(t, c.answer)
			v := g.Judge(t.Context(), candidate(0))
			want(t, v, false, c.reason)
			if r.questions != 1 {
				t.Errorf("%d requests", r.questions)
			}
			if len([]rune(v.Detail)) > detailLimit+1 {
				t.Errorf("the detail has %d bytes", len(v.Detail))
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"verdict":"pass"}`, `{"verdict":"wait","reason":"x"}`, `{"verdict":"fail","reason":null,"a":[{}]}`, `{"a":1,"a":2}`, "{\"\xff\"", `{"verdict":"pass"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		verdict, reason, err := decodeAnswer(body)
		if (err == nil) != (verdict == "pass" || verdict == "fail" || verdict == "wait") || err != nil && reason != "" {
			t.Fatalf("%q %q %v", verdict, reason, err)
		}
		if err != nil {
			return
		}
		// What we take, everybody takes for the same.
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil || object["verdict"] != verdict {
			t.Errorf("it is %v to encoding/json: %v", object, err)
		}
	})
}

func TestAskingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"in a request":     func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() },
		"between requests": says(200, `{"verdict":"wait"}`, "Retry-After", "100"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{}, 1)
			c := WebhookConfig{Name: "release", Subject: subject(), Secret: func() ([]byte, error) { return key, nil }}
			c.URL = serve(t, func(w http.ResponseWriter, q *http.Request) {
				_, _ = io.Copy(io.Discard, q.Body) // or the server would not see the client go
				begun <- struct{}{}
				answer(w, q)
			})
			g, err := NewWebhook(c, wallClock{})
			if err != nil {
				t.Fatal(err)
			}
			judgedSoonAfterCancel(t, g, begun)
		})
	}
}

func TestSigningSecrets(t *testing.T) {
	t.Parallel()
	encoded := "whsec_" + base64.StdEncoding.EncodeToString(key)
	for secret, want := range map[string]string{
		string(key):        string(key),
		encoded:            string(key),
		encoded + "\n":     string(key),
		string(key) + "\n": string(key) + "\n", // bytes are bytes
	} {
		if got, err := Key([]byte(secret)); err != nil || string(got) != want {
			t.Errorf("%q is the key %q, %v", secret, got, err)
		}
	}
	g, r := newWebhook(t, says(200, `{"verdict":"pass"}`))
	const canary = "c4n4ry"
	for reason, secret := range map[string]func() ([]byte, error){
		"the signing secret has fewer than 16 bytes":                func() ([]byte, error) { return []byte(canary), nil },
		`what follows "whsec_" in the signing secret is not base64`: func() ([]byte, error) { return []byte("whsec_c4n4ry!"), nil },
		"the signing secret could not be had":                       func() ([]byte, error) { return nil, errors.New("no key for " + canary) },
	} {
		g.Secret = secret
		if err := g.CheckCredentials(); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: before the first step it says: %v", reason, err)
		}
		v := g.Judge(t.Context(), candidate(0))
		want(t, v, false, reason)
		if strings.Contains(v.Reason+v.Detail, canary) {
			t.Errorf("the verdict is %+v", v)
		}
	}
	if r.questions != 0 {
		t.Error("it was asked without a good signature")
	}
	g.Secret = func() ([]byte, error) { return []byte(encoded), nil }
	wantProblems(t, g.CheckCredentials())
	want(t, g.Judge(t.Context(), candidate(0)), true, "the webhook said pass")
}

func TestCheckOfAWebhookListsEverything(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://ci.example/verdict?x=1", "http://localhost:1", "http://a.localhost", "http://127.9.9.9", "http://[::1]:1"} {
		wantProblems(t, WebhookConfig{URL: good}.Check())
	}
	wantProblems(t, WebhookConfig{URL: "http://ci.example/", Timeout: -1}.Check(),
		"url: must begin with https://: whoever can change the answer decides about the rollout", "timeout: must be positive")
	wantProblems(t, WebhookConfig{URL: "http://localhost.evil.example/"}.Check(), "url: must begin with https://: whoever can change the answer decides about the rollout")
	_, err := NewWebhook(WebhookConfig{URL: "verdict"}, newClock())
	wantProblems(t, err, "url: must begin with https:// or http://", "signing_secret: is needed",
		"webhook: lacks the gate, the rollout, the Worker or the version to ask about")
}
