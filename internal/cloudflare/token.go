// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// What a token is, in errors.
const (
	apiToken     = "the API token"
	accessSecret = "the client secret for Cloudflare Access"
)

// token is the API token of one Client, or the secret of its service token. One that has to be fetched, e.g. out of an
// encrypted file, is fetched before the first request: a Client that sends none
// needs no token.
type token struct {
	plane string
	what  string
	fetch func(context.Context) (string, error) // nil: text is there already
	check func(text string) error               // of what was fetched

	once sync.Once
	err  error
	text atomic.Pointer[string] // nil until it is known
}

func newToken(cfg Config) (*token, error) {
	t := &token{plane: cfg.Plane, what: apiToken, fetch: cfg.TokenFrom, check: func(text string) error { return checkToken(text, cfg.Plane) }}
	if t.fetch != nil {
		return t, nil
	}
	if err := checkToken(cfg.Token, cfg.Plane); err != nil {
		return nil, err
	}
	t.text.Store(&cfg.Token)
	return t, nil
}

func checkToken(text, plane string) error {
	if text == "" {
		return fmt.Errorf("no API token for %s: set api_token or CLOUDFLARE_API_TOKEN", planeLabel(plane))
	}
	if strings.ContainsAny(text, " \t\r\n") {
		return fmt.Errorf("the API token for %s contains white space: it was probably pasted with a line break", planeLabel(plane))
	}
	return nil
}

// get returns the token. A failure to fetch it stays one: every call of this
// client gets the same *TokenError.
func (t *token) get(ctx context.Context) (string, error) {
	if text := t.text.Load(); text != nil {
		return *text, nil
	}
	t.once.Do(func() {
		text, err := t.fetch(ctx)
		if err == nil {
			err = t.check(text)
		}
		if err != nil {
			t.err = &TokenError{Plane: t.plane, What: t.what, Err: err}
			return
		}
		t.text.Store(&text)
	})
	if t.err != nil {
		return "", t.err
	}
	return *t.text.Load(), nil
}
