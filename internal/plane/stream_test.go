// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

func TestAStreamTellsEverythingOnceAndEnds(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	open := func(after int) *websocket.Conn {
		t.Helper()
		url := strings.Replace(d.p.URL, "http:", "ws:", 1) + "/hybridge/v1/accounts/" + d.p.AccountID + "/rollouts/" + d.id + "/events?after=" + strconv.Itoa(after)
		c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + d.p.Token}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	read := func(c *websocket.Conn) (message struct {
		Snapshot *seen
		Sequence int
		State    string
	}) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, text, err := c.Read(ctx)
		if err == nil {
			err = json.Unmarshal(text, &message)
		}
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	d.note(`{"state": "baking", "percentage": 10}`)
	c := open(0)
	if m := read(c); m.Snapshot == nil || m.Snapshot.ID != d.id || m.Snapshot.Sequence != 1 {
		t.Fatalf("it begins with %+v", m)
	}
	if m := read(c); m.Sequence != 1 || m.State != "baking" {
		t.Errorf("then comes %+v", m)
	}
	d.note(`{"state": "deploying", "percentage": 50}`)
	if m := read(c); m.Sequence != 2 {
		t.Errorf("then comes %+v", m)
	}
	_ = c.CloseNow() // the connection breaks, and the reader comes back
	d.note(`{"state": "baking", "percentage": 50}`)
	d.note(`{"state": "succeeded"}`)
	c = open(2)
	read(c)
	for want := 3; want <= 4; want++ {
		if m := read(c); m.Sequence != want {
			t.Errorf("after the second comes %+v, want %d", m, want)
		}
	}
	_, _, err := c.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("after the end: %v", err)
	}
	// A plane that stops says so.
	d.id = uuid.NewString()
	d.begin()
	c = open(0)
	read(c)
	closed := make(chan struct{})
	go func() { defer close(closed); d.p.Plane.Close() }()
	if _, _, err = c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("when the plane stops: %v", err)
	}
	<-closed
}
