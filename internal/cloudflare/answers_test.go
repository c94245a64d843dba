// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

// everything calls whatever decodes an answer. The functions report what is wrong
// with an answer that they accepted.
var everything = map[string]func(*testing.T, *Client) (string, error){
	"FreshWorker": func(t *testing.T, c *Client) (string, error) {
		w, err := c.FreshWorker(t.Context(), "api")
		return noWorker(w, err), err
	},
	"CreateWorker": func(t *testing.T, c *Client) (string, error) {
		w, err := c.CreateWorker(t.Context(), WorkerInput{Name: "api"})
		return noWorker(w, err), err
	},
	"UpdateWorker": func(t *testing.T, c *Client) (string, error) {
		w, err := c.UpdateWorker(t.Context(), "api", WorkerInput{Name: "api"})
		return noWorker(w, err), err
	},
	"Version": func(t *testing.T, c *Client) (string, error) {
		v, err := c.Version(t.Context(), "api", "v1")
		return noVersion(v, err), err
	},
	"CreateVersion": func(t *testing.T, c *Client) (string, error) {
		c.cache.versionless["api"] = true
		v, err := c.CreateVersion(t.Context(), "api", VersionUpload{Body: func() (io.ReadCloser, int64, error) {
			return io.NopCloser(strings.NewReader("{}")), 2, nil
		}})
		return noVersion(v, err), err
	},
	"Deployments": func(t *testing.T, c *Client) (string, error) {
		_, err := c.Deployments(t.Context(), "api")
		return "", err
	},
	"CreateDeployment": func(t *testing.T, c *Client) (string, error) {
		d, err := c.CreateDeployment(t.Context(), "api", DeploymentInput{
			Versions: []Share{{VersionID: "v1", Percentage: 100}}, Check: func(*Deployment) error { return nil },
		})
		if err == nil && d.ID == "" {
			return "a deployment without an id", nil
		}
		return "", err
	},
	"DeployableVersions": func(t *testing.T, c *Client) (string, error) {
		_, err := c.DeployableVersions(t.Context(), "api")
		return "", err
	},
	"ListWorkers": func(t *testing.T, c *Client) (string, error) {
		_, err := c.ListWorkers(t.Context())
		return "", err
	},
	"Plane": func(t *testing.T, c *Client) (string, error) {
		_, err := c.Plane(t.Context())
		return "", err
	},
	"VerifyToken": func(t *testing.T, c *Client) (string, error) {
		_, err := c.VerifyToken(t.Context())
		return "", err
	},
}

func noWorker(w *Worker, err error) string {
	if err == nil && w.ID == "" {
		return "a Worker without an id"
	}
	return ""
}

func noVersion(v *Version, err error) string {
	if err == nil && v.ID == "" {
		return "a version without an id"
	}
	return ""
}

// saying gives a client of a plane that answers everything with this.
func saying(t *testing.T, status int, body string) *Client {
	t.Helper()
	retries := 1
	c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
		cfg.MaxRetries = &retries
		cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})
	})
	return c
}

// A result that nothing can be made of is an error: never an object that is all
// zero, which would be written to state, nor one that is gone, which would be made
// again.
func TestAnOddResultIsAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"success":true,"errors":[]}`,
		`{"success":true,"errors":[],"result":null}`,
		`{"success":true,"errors":[],"result":{}}`,
		`{"success":true,"errors":[],"result":"ok"}`,
		`{"success":true,"errors":[],"result":{"id":7,"items":7,"deployments":7}}`,
		`{"success":true,"errors":[],"result":{"id":null,"items":null,"deployments":null}}`,
	} {
		for name, call := range everything {
			if name == "Plane" || name == "VerifyToken" || name == "ListWorkers" && strings.Contains(body, "null}") {
				continue // the first two decide nothing; some lists of Cloudflare write an empty one as null
			}
			wrong, err := call(t, saying(t, http.StatusOK, body))
			var odd *AnswerError
			if !errors.As(err, &odd) || wrong != "" {
				t.Errorf("%s takes %s: error %v, %s", name, body, err, wrong)
				continue
			}
			if !strings.Contains(err.Error(), "not what the Cloudflare API documents") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Only this API can say that an object is gone: any server says "not found" of a
// path that it does not know.
// What a plane answers may repeat what it was sent, wherever in the answer that stands.
func TestWhatAnAnswerRepeatsIsTakenOut(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery-staple"
	for name, tt := range map[string]struct {
		body string
		call func(*Client) error
	}{
		"a refusal":       {`{"success":false,"errors":[{"code":1,"message":"no ` + secret + `"}],"result":null}`, func(c *Client) error { _, err := c.FreshWorker(t.Context(), "w"); return err }},
		"an odd result":   {`{"success":true,"errors":[],"messages":[],"result":{"id":"v","created_on":"` + secret + `"}}`, func(c *Client) error { _, err := c.Version(t.Context(), "w", "v"); return err }},
		"refused metrics": {`{"errors":[{"message":"` + strings.Repeat("x", 290) + secret + `"}]}`, func(c *Client) error { return c.GraphQL(t.Context(), "{}", nil, &struct{}{}) }},
	} {
		c := saying(t, 200, tt.body)
		c.Withhold(secret)
		// The length at which a text is cut may lie within a secret.
		if err := tt.call(c); err == nil || strings.Contains(err.Error(), secret[:6]) || !strings.Contains(err.Error(), "[redacted]") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNotFoundOfAnotherServerDoesNotMeanGone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"error":"not found"}`, `{"error":{"code":404}}`, `{"detail":"Not Found"}`, `{"message":"no Route matched","code":404}`, `{}`} {
		for name, call := range everything {
			if _, err := call(t, saying(t, http.StatusNotFound, body)); IsNotFound(err) {
				t.Errorf("%s takes %s to mean that the object is gone: %v", name, body, err)
			}
		}
	}
}

func FuzzAnyAnswerIsAnErrorOrAnObject(f *testing.F) {
	for _, body := range []string{
		testWorker, `{"success":true,"result":[]}`, `{"success":true,"result":[{"id":"a"},null]}`, `{"success":false,"errors":null}`,
		`{"success":true,"result":{"deployments":[{"id":"d","versions":[null,{"version_id":"v1","percentage":100}]}],"items":[null,{}]}}`,
		`{"success":true,"result":{"id":"a","created_on":"0000-00-00T00:00:00Z","references":{"workers":[null]},"urls":[null],"observability":{"logs":null}}}`,
		`{"success":true,"result":null,"result_info":{"total_count":-1}}`, `null`, `[]`, `{"kind":"self-hosted","problems":[null]}`, "\xff", "",
	} {
		for _, status := range []int{200, 204, 302, 404, 409, 412, 500} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip()
		}
		for name, call := range everything {
			if wrong, err := call(t, saying(t, status, body)); wrong != "" {
				t.Errorf("%s takes %d %s for %s (%v)", name, status, body, wrong, err)
			}
		}
	})
}

// Cloudflare has been seen to answer writes with the id alone.
func TestAnAnswerWithTheIDAloneIsCompleted(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
		cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
			body := `{"success":true,"result":{"id":"fedcba9876543210fedcba9876543210"}}`
			switch {
			case req.Method != http.MethodGet:
				_, _ = io.Copy(io.Discard, req.Body)
			case strings.Contains(req.URL.Path, "/versions/"):
				body = `{"success":true,"result":{"id":"v1","number":7,"created_on":"2026-01-02T03:04:05Z"}}`
			default:
				body = testWorker
			}
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})
	})
	w, err := c.CreateWorker(t.Context(), WorkerInput{Name: "api"})
	if err != nil || w.Name != "api" || w.CreatedOn.IsZero() {
		t.Errorf("created: %+v, %v", w, err)
	}
	w, err = c.UpdateWorker(t.Context(), "api", WorkerInput{Name: "api"})
	if err != nil || w.Name != "api" || w.CreatedOn.IsZero() {
		t.Errorf("updated: %+v, %v", w, err)
	}
	v, err := c.CreateVersion(t.Context(), "api", VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader("{}")), 2, nil
	}})
	if err != nil || v.Number != 7 || v.CreatedOn.IsZero() {
		t.Errorf("uploaded: %+v, %v", v, err)
	}
}

// After a lost answer a Worker is known again although the plane sorts its tags.
func TestTheOrderOfTagsDoesNotMatter(t *testing.T) {
	t.Parallel()
	tags := []string{"b", "a"}
	if !(WorkerInput{Tags: &tags}).matches(Worker{Tags: []string{"a", "b"}}) {
		t.Error("the same tags in another order do not match")
	}
	if (WorkerInput{Tags: &tags}).matches(Worker{Tags: []string{"a", "b", "c"}}) {
		t.Error("more tags match")
	}
}
