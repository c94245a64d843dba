// SPDX-License-Identifier: MPL-2.0

package health

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Handler serves /healthz (alive says nil), /readyz and /status. token returns
// the bearer token that readers must show; empty where the socket's permissions
// are the lock.
func Handler(status func() Status, alive func() error, token func() []byte) http.Handler {
	mux := http.NewServeMux()
	plain := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		var wrong []error
		for _, c := range s.Checks {
			if !c.OK && !c.Warning {
				wrong = append(wrong, fmt.Errorf("%s: %s", c.Name, c.Detail))
			}
		}
		plain(w, errors.Join(wrong...))
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(status()) // fails only when the reader has gone
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if want := token(); len(want) > 0 {
			scheme, got, _ := strings.Cut(req.Header.Get("Authorization"), " ")
			a, b := sha256.Sum256([]byte(got)), sha256.Sum256(want) // of one length, whatever was sent
			if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "the token of health.token_file is needed", http.StatusUnauthorized)
				return
			}
		}
		mux.ServeHTTP(w, req)
	})
}

// clientTimeout bounds the question to an agent on this machine.
const clientTimeout = 10 * time.Second

// Ask reads the status of the agent whose health endpoint listens at address.
func Ask(ctx context.Context, address string, token []byte) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	host := address
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		host = "agent"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/status", nil)
	if err != nil {
		return s, fmt.Errorf("asking the agent at %s: %w", address, err)
	}
	if len(token) > 0 {
		req.Header.Set("Authorization", "Bearer "+string(token))
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return s, fmt.Errorf("asking the agent at %s: %w: is it running? systemctl status hybridge-agent", address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("asking the agent at %s: it answered %s: is health.token_file the agent's?", address, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&s); err != nil {
		return s, fmt.Errorf("asking the agent at %s: %w", address, err)
	}
	if s.Version != DocumentVersion {
		return s, fmt.Errorf("asking the agent at %s: its document has version %d, this program reads %d: use the agent's own program", address, s.Version, DocumentVersion)
	}
	return s, nil
}
