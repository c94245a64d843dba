// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// callbackTimeout is for one attempt, as Standard Webhooks advise.
	callbackTimeout = 15 * time.Second
	// callbackGiveUp is how long something is tried to be told.
	callbackGiveUp = 24 * time.Hour
	// DefaultCallbackPause is the first pause between attempts. They double, up to
	// maxCallbackPause.
	DefaultCallbackPause = time.Second
	maxCallbackPause     = 5 * time.Minute
	// callbackLook is how often the clock is looked at while something is queued.
	callbackLook = time.Second
	// callbackAnswer is how much of an answer is read, so that its connection can be used
	// again, and callbackHeader how large its header may be.
	callbackAnswer, callbackHeader = 16 << 10, 64 << 10
)

// callbackClient sends callbacks, on connections of its own. It follows no redirect: a
// signed body is for the receiver that was configured.
type callbackClient struct{ http.Client }

func newCallbackClient() *callbackClient {
	return &callbackClient{http.Client{
		Timeout:       callbackTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: callbackHeader, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}}
}

// post makes one attempt. Its error says nothing of the URL but what a proxy or a
// resolver says.
func (c *callbackClient) post(ctx context.Context, r *receiver, callback registry.Callback, now time.Time) error {
	signature, err := r.signer.Sign(callback.MessageID, now, callback.Body)
	if err != nil {
		return errors.New("it could not be signed")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(callback.Body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hybridge")
	req.Header.Set(standardwebhooks.HeaderWebhookID, callback.MessageID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	res, err := c.Do(req)
	if err != nil {
		if named := (*url.Error)(nil); errors.As(err, &named) {
			err = named.Err // without the URL
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	// The status is the answer, whatever becomes of the rest.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, callbackAnswer))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered with status %d", res.StatusCode)
	}
	return nil
}

// pauseAfter is how long is waited after so many attempts that failed before this one. The
// jitter keeps receivers from being called by everybody at once when they come back.
func (p *Plane) pauseAfter(attempts int) time.Duration {
	pause := min(maxCallbackPause, p.callbackPause<<min(attempts, 20))
	return pause - time.Duration(rand.Int64N(int64(pause)/4+1))
}
