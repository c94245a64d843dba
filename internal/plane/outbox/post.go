// SPDX-License-Identifier: MPL-2.0

package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// attemptTimeout is for one attempt, as Standard Webhooks advise.
	attemptTimeout = 15 * time.Second
	// maxAnswer is how much of an answer is read, so that its connection can be used
	// again, and maxHeader how large its header may be.
	maxAnswer, maxHeader = 16 << 10, 64 << 10
)

// client sends messages, on connections of its own. It follows no redirect: a
// signed body is for the receiver that was configured.
type client struct{ http.Client }

func newClient() *client {
	return &client{http.Client{
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: maxHeader, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}}
}

// post makes one attempt. Its error says nothing of the URL but what a proxy or a
// resolver says.
func (c *client) post(ctx context.Context, r *receiver, m registry.Message, now time.Time) error {
	signature, err := r.signer.Sign(m.ID, now, m.Body)
	if err != nil {
		return errors.New("it could not be signed")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(m.Body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hybridge")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
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
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered with status %d", res.StatusCode)
	}
	return nil
}
