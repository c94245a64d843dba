// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Environment variables that stand in for attributes of the provider block that
// are not set. wrangler and the official provider know them too. One that is set
// to the empty text counts as not set.
const (
	envToken   = "CLOUDFLARE_API_TOKEN"
	envAccount = "CLOUDFLARE_ACCOUNT_ID"
	envBaseURL = "CLOUDFLARE_BASE_URL"
)

// settings are what is needed to reach one plane.
type settings struct {
	baseURL      string // empty: Cloudflare's own
	accountID    string
	token        string
	sealedToken  *sealedToken // where the token lies instead; nil if token has it
	access       *access      // nil: not behind Cloudflare Access
	region       string
	insecureHTTP bool
	// problem, if not nil, is why the plane cannot be used. It is reported by
	// whoever uses the plane.
	problem error
}

// limits are the settings that all planes share.
type limits struct {
	requestsPerSecond float64 // 0: the client's default
	maxRetries        *int    // nil: the client's default
	requestTimeout    time.Duration
	userAgent         string
	secrets           *sealed.Store
}

// open makes the plane called name. where says how the user would set one of its
// attributes.
func (l limits) open(name string, s settings, where func(attribute string) string) (*tfkit.Plane, error) {
	switch {
	case s.problem != nil:
		return nil, s.problem
	case s.token == "" && s.sealedToken == nil:
		return nil, fmt.Errorf("no API token: set %s", where("api_token"))
	case s.accountID == "":
		return nil, fmt.Errorf("no account id: set %s", where("account_id"))
	}
	// Planning needs no token unless it asks the plane something, so it is
	// decrypted by the first request. What needs no key is checked now.
	var tokenFrom func(context.Context) (string, error)
	if s.sealedToken != nil {
		if err := s.sealedToken.check(l.secrets); err != nil {
			return nil, err
		}
		tokenFrom = func(ctx context.Context) (string, error) { return s.sealedToken.read(ctx, l.secrets) }
	}
	access, err := s.access.token(l.secrets)
	if err != nil {
		return nil, err
	}
	client, err := cloudflare.New(cloudflare.Config{
		Plane:             name,
		Access:            access,
		BaseURL:           s.baseURL,
		AccountID:         s.accountID,
		Token:             s.token,
		TokenFrom:         tokenFrom,
		AllowInsecureHTTP: s.insecureHTTP,
		RequestsPerSecond: l.requestsPerSecond,
		MaxRetries:        l.maxRetries,
		RequestTimeout:    l.requestTimeout,
		UserAgent:         l.userAgent,
		Logger:            wireLogger{},
	})
	if err != nil {
		return nil, err
	}
	return &tfkit.Plane{Name: name, AccountID: s.accountID, Region: s.region, Client: client}, nil
}

// checkBaseURL reports what is wrong with a base_url. The rules are the client's:
// making one sends nothing.
func checkBaseURL(raw string, insecure bool) error {
	_, err := cloudflare.New(cloudflare.Config{
		BaseURL: raw, AllowInsecureHTTP: insecure,
		Token: strings.Repeat("0", 40), AccountID: strings.Repeat("0", 32),
	})
	return err
}

// userAgent is the User-Agent of every request.
func userAgent(version, terraform, suffix string) string {
	agent := "terraform-provider-hybridge/" + version
	if terraform != "" {
		agent += " terraform/" + terraform
	}
	if suffix != "" {
		agent += " " + suffix
	}
	return agent
}
