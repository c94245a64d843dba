// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// streamLook is how often a stream looks for new events. They come seconds apart.
	streamLook = 200 * time.Millisecond
	// streamWrite is how long a reader may take for one message; a slower one comes back
	// with the number of the last event that it has seen.
	streamWrite = 10 * time.Second
	// streamPing keeps proxies from closing a connection on which nothing happens.
	streamPing = 20 * time.Second
)

func wantsStream(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// streamRollout sends a snapshot, then every event after a number as one message of JSON
// each, and closes after the one that ends the rollout.
func (p *Plane) streamRollout(r *request, ro registry.Rollout, after int64) (*reply, error) {
	snapshot, err := p.showRollout(ro, nil)
	if err != nil {
		return nil, err
	}
	if !p.enter() {
		return nil, &Error{Status: http.StatusServiceUnavailable, Code: codeInternal, Message: "The plane stops.", Transient: true}
	}
	return &reply{upgrade: func(w http.ResponseWriter) error {
		defer p.background.Done()
		// Who has a token needs no cookies, so a page of another origin gains nothing.
		c, err := websocket.Accept(w, r.Request, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return err // it has answered
		}
		defer func() { _ = c.CloseNow() }()
		// What the client sends is of no interest, but its close and its pongs are. The
		// plane's own end is told in words, so it does not end the connection here.
		ctx := c.CloseRead(context.WithoutCancel(p.ctx))
		if err := p.send(ctx, c, map[string]any{"snapshot": snapshot}); err != nil {
			return nil //nolint:nilerr // the reader is gone
		}
		return p.follow(ctx, c, ro.ID, after)
	}}, nil
}

// follow sends events until the rollout has ended, the reader is gone, or the plane closes.
func (p *Plane) follow(ctx context.Context, c *websocket.Conn, id string, after int64) error {
	look, ping := time.NewTicker(streamLook), time.NewTicker(streamPing)
	defer look.Stop()
	defer ping.Stop()
	for {
		ro, events, err := p.reg.Rollout(ctx, id, after)
		if err != nil {
			return c.Close(websocket.StatusInternalError, "the rollout cannot be read")
		}
		list, err := decodeEvents(events)
		if err != nil {
			return c.Close(websocket.StatusInternalError, "an event cannot be read")
		}
		for _, e := range list {
			if err := p.send(ctx, c, e); err != nil {
				return nil //nolint:nilerr // the reader is gone, or too slow
			}
			after = e.Sequence
		}
		if slices.Contains(rolloutEnds, ro.State) && after >= ro.Sequence {
			return c.Close(websocket.StatusNormalClosure, ro.State)
		}
		select {
		case <-ctx.Done():
			return nil // the reader is gone
		case <-p.ctx.Done():
			return c.Close(websocket.StatusGoingAway, fmt.Sprintf("the plane stops: connect again, with ?after=%d", after))
		case <-look.C:
		case <-ping.C:
			if err := p.ping(ctx, c); err != nil {
				return nil //nolint:nilerr // the reader is gone
			}
		}
	}
}

func (p *Plane) send(ctx context.Context, c *websocket.Conn, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, streamWrite)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, text)
}

func (p *Plane) ping(ctx context.Context, c *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, streamWrite)
	defer cancel()
	return c.Ping(ctx)
}
