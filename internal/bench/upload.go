// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/bench/load"
)

// uploads is how many versions the median of the upload section is taken of.
const uploads = 20

// benchUpload measures the time from the first byte of an upload that deploys
// until the first answer of the new version, as a client sees it.
func benchUpload(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "upload-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	fmt.Println("| version | upload to first answer, median | p95 |\n|---|---|---|")
	for _, size := range []int{0, 120_000, 400_000} {
		name := fmt.Sprintf("upload-%d", size)
		if err := p.createWorker(ctx, name); err != nil {
			return err
		}
		var times []time.Duration
		for i := range uploads {
			want := fmt.Sprintf("answer %d", i)
			code := fmt.Sprintf("export default { fetch() { return new Response(%q) } }\n%s", want, filler(size))
			begin := time.Now()
			if _, err := p.uploadVersion(ctx, name, code, true); err != nil {
				return err
			}
			got, err := p.get(ctx, name)
			if err != nil {
				return err
			}
			times = append(times, time.Since(begin))
			if got != want {
				return fmt.Errorf("the first answer after upload %d is %q, want %q", i, got, want)
			}
		}
		slices.Sort(times)
		fmt.Printf("| %d kB | %.0f ms | %.0f ms |\n", size/1000, ms(times[len(times)/2]), ms(times[len(times)*95/100]))
	}
	return nil
}

// filler is about n bytes of functions that the engine must parse.
func filler(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "export function f%d(a, b) { return a * %d + b }\n", i, i)
	}
	return b.String()
}

// createWorker creates a Worker that answers at its workers.dev host.
func (p *plane) createWorker(ctx context.Context, name string) error {
	_, err := p.call(ctx, http.MethodPost, "/workers/workers", map[string]any{
		"name": name, "subdomain": map[string]bool{"enabled": true}})
	return err
}

// uploadVersion uploads code as the version of a Worker, deploys it if told,
// and returns its id.
func (p *plane) uploadVersion(ctx context.Context, worker, code string, deploy bool) (string, error) {
	path := "/workers/workers/" + worker + "/versions"
	if deploy {
		path += "?deploy=true"
	}
	result, err := p.call(ctx, http.MethodPost, path, map[string]any{
		"main_module": "index.js", "compatibility_date": "2026-01-01",
		"modules": []map[string]string{{"name": "index.js", "content_type": "application/javascript+module",
			"content_base64": base64.StdEncoding.EncodeToString([]byte(code))}}})
	if err != nil {
		return "", err
	}
	var version struct{ ID string }
	return version.ID, json.Unmarshal(result, &version)
}

// deploy makes shares (version id to percentage) live.
func (p *plane) deploy(ctx context.Context, worker string, shares map[string]float64) error {
	var versions []map[string]any
	for id, percentage := range shares {
		versions = append(versions, map[string]any{"version_id": id, "percentage": percentage})
	}
	_, err := p.call(ctx, http.MethodPost, "/workers/scripts/"+worker+"/deployments",
		map[string]any{"strategy": "percentage", "versions": versions})
	return err
}

// call sends one request to the API and returns the envelope's result.
func (p *plane) call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	url := p.api + "/accounts/" + p.env["CLOUDFLARE_ACCOUNT_ID"] + path
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.env["CLOUDFLARE_API_TOKEN"])
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var envelope struct {
		Success bool
		Errors  json.RawMessage
		Result  json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&envelope); err != nil {
		return nil, fmt.Errorf("%s %s: decoding the answer: %w", method, path, err)
	}
	if !envelope.Success {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, envelope.Errors)
	}
	return envelope.Result, nil
}

// request is a GET of a Worker's workers.dev host through the ingress.
func (p *plane) request(ctx context.Context, worker string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.env["HYBRIDGE_INGRESS_URL"], nil)
	if err != nil {
		return nil, err
	}
	req.Host = worker + "." + p.env["HYBRIDGE_SUBDOMAIN"] + ".localhost"
	return req, nil
}

// endpoint is where a load on a Worker goes.
func (p *plane) endpoint(worker string) (load.Endpoint, error) {
	return load.Get(p.env["HYBRIDGE_INGRESS_URL"], worker+"."+p.env["HYBRIDGE_SUBDOMAIN"]+".localhost")
}

// get is the body of a Worker's answer; any status but 200 is an error.
func (p *plane) get(ctx context.Context, worker string) (string, error) {
	req, err := p.request(ctx, worker)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s: %s", req.Host, res.Status, body)
	}
	return string(body), nil
}
