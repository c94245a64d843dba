// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	rollbackAction = "hybridge_worker_rollback"
	promoteAction  = "hybridge_worker_promote"
)

func TestTheActionRollsBackAndItsVersionStaysRejected(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2)
	state = s.applied(state, config)
	s.restart()
	messages, d := s.provider.Invoke(t.Context(), t, rollbackAction, tfproto.Object{"worker": "api", "message": "it was bad"})
	if d.HasError() {
		t.Fatalf("invoking: %s", d)
	}
	if n := len(messages); n != 3 || !strings.Contains(messages[n-1], "version "+s.v1+" serves everything") {
		t.Errorf("it said %q", messages)
	}
	if live := s.live(); live.Sole() != s.v1 || live.Marking().Message != "it was bad" {
		t.Errorf("live is %+v", live)
	}
	s.restart()
	s.wantKept(s.read(state), config, "Version is rejected", "it was bad")
	// Once more changes nothing.
	s.restart()
	before := s.live().ID
	messages, d = s.provider.Invoke(t.Context(), t, rollbackAction, tfproto.Object{"worker": "api", "to": s.v1})
	if d.HasError() || len(messages) == 0 || !strings.Contains(messages[len(messages)-1], "serves everything already") || s.live().ID != before {
		t.Errorf("again: %s %q, live %s, want %s", d, messages, s.live().ID, before)
	}
	// What cannot be is said.
	s.restart()
	if _, d = s.provider.Invoke(t.Context(), t, rollbackAction, tfproto.Object{"worker": "api", "to": "prevoius"}); !d.HasError() || !strings.Contains(d.String(), "neither") {
		t.Errorf("a value that means nothing: %s", d)
	}
}

func TestTheActionPromotesACanary(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.foreign("a canary", cloudflare.Share{VersionID: s.v2, Percentage: 10}, cloudflare.Share{VersionID: s.v1, Percentage: 90})
	s.restart()
	if _, d := s.provider.Invoke(t.Context(), t, promoteAction, tfproto.Object{"worker": "api"}); d.HasError() {
		t.Fatalf("invoking: %s", d)
	}
	if diff := cmp.Diff(s.v2, s.live().Sole()); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

// The framework's SendProgress blocks for ever once its reader is gone.
func TestAnActionEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	s.restart()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.provider.Invoke(ctx, t, rollbackAction, tfproto.Object{"worker": "api", "to": s.v2})
	}()
	<-done
	if live := s.live(); live.Sole() != s.v1 {
		t.Errorf("a run that was cancelled before it began deployed %+v", live)
	}
}
