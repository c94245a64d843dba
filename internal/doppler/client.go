// SPDX-License-Identifier: MPL-2.0

// Package doppler reads the secrets of a Doppler config. No error of this package
// holds anything of an answer's body: it is made of secrets.
package doppler

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Metadata are the names of what Doppler adds to the secrets of a config.
var Metadata = []string{"DOPPLER_PROJECT", "DOPPLER_ENVIRONMENT", "DOPPLER_CONFIG"}

// DefaultBaseURL is Doppler's API.
const DefaultBaseURL = "https://api.doppler.com"

const (
	// maxBody bounds an answer: a SOPS file may not be larger either.
	maxBody = 16 << 20
	// attempts bears an outage of some eight seconds.
	attempts       = 5
	firstBackoff   = 500 * time.Millisecond
	maxBackoff     = 8 * time.Second
	maxRetryAfter  = time.Minute // Doppler counts requests by the minute
	requestTimeout = 30 * time.Second
)

// Config says where the API is and who asks.
type Config struct {
	BaseURL string // empty: DefaultBaseURL
	Token   sealed.Secret
	// Notice takes what a user who waits wants to know; nil: nothing.
	Notice func(text string)

	// Timeout bounds one attempt. Zero means 30 seconds.
	Timeout time.Duration
	// Sleep replaces the waits between attempts, in tests.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client asks the API of one Doppler.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// New makes a Client. It sends nothing.
func New(cfg Config) (*Client, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("the base URL is no http or https URL: write it like " + DefaultBaseURL)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the base URL must hold neither credentials nor a query: write it like " + DefaultBaseURL)
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, fmt.Errorf("the base URL %s would send the token unencrypted: use https", base)
	}
	switch token := cfg.Token.Reveal(); {
	case token == "":
		return nil, errors.New("there is no Doppler token: make a service token for the config, and set DOPPLER_TOKEN or --token-file")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the Doppler token holds white space or control characters: it was probably copied with a line break")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = requestTimeout
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Notice == nil {
		cfg.Notice = func(string) {}
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Timeout: cfg.Timeout,
		// Whoever is redirected to would be sent secrets' names, if not the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// isLoopback reports whether the host never leaves this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Download reads all secrets of a config as they are, references resolved, among
// them DOPPLER_PROJECT, DOPPLER_ENVIRONMENT and DOPPLER_CONFIG. That these name
// another project or config than was asked for is an error: a service token
// answers for its own config, whatever it is asked.
func (c *Client) Download(ctx context.Context, project, config string) (map[string]sealed.Secret, error) {
	at := c.base.JoinPath("v3/configs/config/secrets/download")
	at.RawQuery = url.Values{"project": {project}, "config": {config}, "format": {"json"}}.Encode()
	body, err := c.get(ctx, at.String())
	if err != nil {
		return nil, fmt.Errorf("reading project %q, config %q from Doppler: %w", project, config, err)
	}
	var texts map[string]*string
	// The decoder's error can quote a value.
	if json.Unmarshal(body, &texts) != nil || texts == nil {
		return nil, fmt.Errorf("reading project %q, config %q from Doppler: %w", project, config, errForeign)
	}
	for name, asked := range map[string]string{"DOPPLER_PROJECT": project, "DOPPLER_CONFIG": config} {
		if is := texts[name]; is != nil && *is != asked {
			return nil, fmt.Errorf("the Doppler token is not for project %q, config %q, but for others: use the token of that config, or correct --project and --config", project, config)
		}
	}
	secrets := make(map[string]sealed.Secret, len(texts))
	for name, text := range texts {
		if text == nil {
			return nil, fmt.Errorf("reading project %q, config %q from Doppler: %w", project, config, errForeign)
		}
		secrets[name] = sealed.NewSecret(*text)
	}
	return secrets, nil
}

var (
	errForeign = errors.New("what answers there is not Doppler's API, or not in its documented form: check --base-url, and whether a proxy stands in between")
	errTooMuch = errors.New("the answer is larger than 16 MiB: no SOPS file may be that large; split the config")
)

// attemptError is a failure after which another attempt makes sense.
type attemptError struct {
	err   error
	after time.Duration // what the server asked for; 0: nothing
}

func (e *attemptError) Error() string { return e.err.Error() }

// get repeats the request while that makes sense: it changes nothing.
func (c *Client) get(ctx context.Context, at string) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		body, err := c.once(ctx, at)
		var again *attemptError
		switch {
		case err == nil:
			return body, nil
		case !errors.As(err, &again):
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case attempt == attempts:
			return nil, fmt.Errorf("after %d attempts: %w", attempts, again.err)
		case again.after > maxRetryAfter:
			return nil, fmt.Errorf("%w; it asks to wait %s", again.err, again.after.Round(time.Second))
		}
		wait := max(again.after, backoff(attempt))
		c.cfg.Notice(fmt.Sprintf("%v; trying again in %s", again.err, wait.Round(100*time.Millisecond)))
		if err := c.cfg.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (c *Client) once(ctx context.Context, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, errors.New("the request cannot be made: check --base-url")
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Token.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "hybridge")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &attemptError{err: c.unreached(err)}
	}
	defer res.Body.Close()
	if err := refusal(res); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, &attemptError{err: errors.New("the answer breaks off")}
	case len(body) > maxBody:
		return nil, errTooMuch
	}
	return body, nil
}

// unreached says why there was no answer. The errors of net/http quote what they
// could not read, so of them only those of the network and of TLS are passed on.
func (c *Client) unreached(err error) error {
	var cause *url.Error
	if errors.As(err, &cause) && cause.Timeout() {
		return fmt.Errorf("%s does not answer within %s: check the network", c.base.Host, c.cfg.Timeout)
	}
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &network):
		err = network
	case errors.As(err, &certificate):
		err = certificate
	case errors.Is(err, http.ErrSchemeMismatch):
		err = http.ErrSchemeMismatch
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("it ends the connection without an answer")
	default:
		return fmt.Errorf("%s, or a proxy before it, gives no answer that can be read: check --base-url and HTTPS_PROXY", c.base.Host)
	}
	return fmt.Errorf("%s cannot be reached: %w: check --base-url and the network", c.base.Host, err)
}

// refusal is what a status says; nil for success.
func refusal(res *http.Response) error {
	switch s := res.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s >= 300 && s < 400:
		return fmt.Errorf("it answers with a redirect (status %d), which is not followed: set --base-url to the address of Doppler's API itself", s)
	case s == http.StatusUnauthorized:
		return errors.New("the token is not valid (status 401): make a new service token, and set DOPPLER_TOKEN or --token-file")
	case s == http.StatusForbidden:
		return errors.New("the token may not read this config (status 403): give it access, or use a service token of the config")
	case s == http.StatusNotFound, s == http.StatusBadRequest:
		return fmt.Errorf("there is no such project or config, or the token may not see it (status %d): check --project and --config", s)
	case s == http.StatusTooManyRequests:
		return &attemptError{err: errors.New("it limits requests (status 429): try again later"), after: retryAfter(res.Header)}
	case s >= 500:
		return &attemptError{err: fmt.Errorf("it fails (status %d): try again later", s), after: retryAfter(res.Header)}
	default:
		return fmt.Errorf("it answers with status %d: check --base-url", s)
	}
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// backoff is the wait after an attempt, jittered so that jobs which failed
// together do not come back together.
func backoff(attempt int) time.Duration {
	d := min(maxBackoff, firstBackoff<<(attempt-1))
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
