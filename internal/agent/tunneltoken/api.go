// SPDX-License-Identifier: MPL-2.0

package tunneltoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

const (
	// apiTimeout bounds one question, during which the connector is not looked at.
	apiTimeout = 10 * time.Second
	// apiRetry is how long a failed question is not repeated.
	apiRetry = 10 * time.Second
)

// fromAPI asks the API that made the tunnel, once per refresh interval. The token
// is kept in memory only: without the API, a restarted agent has none.
type fromAPI struct {
	tunnelID   string
	cfg        agentfile.TokenFromAPI
	credential Source

	next  time.Time // when to ask again
	token []byte
	err   error
}

func (a *fromAPI) String() string { return "the API's answer for tunnel " + a.tunnelID }

func (a *fromAPI) Read(ctx context.Context) ([]byte, error) {
	if time.Now().Before(a.next) {
		return a.token, a.err
	}
	token, err := a.ask(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	wait := time.Duration(a.cfg.Refresh)
	if err != nil {
		wait = min(wait, apiRetry)
	}
	a.next, a.token, a.err = time.Now().Add(wait), token, err
	return token, err
}

func (a *fromAPI) ask(ctx context.Context) ([]byte, error) {
	secret, err := a.credential.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	client, err := cloudflare.New(cloudflare.Config{
		BaseURL: a.cfg.BaseURL, AccountID: a.cfg.AccountID, Token: string(secret),
		MaxRetries: new(int), RequestTimeout: apiTimeout, HTTPTransport: transport, // the next question is the retry
	})
	if err != nil {
		return nil, err
	}
	token, err := client.TunnelToken(ctx, a.tunnelID)
	switch {
	case cloudflare.IsNotFound(err):
		return nil, fmt.Errorf("%w: tunnel_id or account_id is wrong, or the tunnel was deleted", err)
	case err != nil:
		return nil, err
	case token == "":
		return nil, errors.New("the API answered without a token")
	}
	return []byte(token), nil
}
