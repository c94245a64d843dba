// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

func TestRolloutsAndRollbacksLoseNoRequest(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	rollout := tfproto.Object{"steps": []any{step(0, "1ms"), step(50, "20ms")}}
	if d := s.apply(s.config(s.good, rollout)); len(d) > 0 {
		t.Fatal(d)
	}
	stop := s.load(100)
	for i := range 20 {
		next := s.Upload(t, s.worker, answering(fmt.Sprintf("headers['X-Release'] = '%d';", i)))
		if d := s.apply(s.config(next, rollout)); d.HasError() {
			t.Fatalf("rollout %d: %s", i, d)
		}
		back := s.config(next, rollout)
		back["rollback_to"] = "previous"
		if d := s.apply(back); d.HasError() {
			t.Fatalf("rollback %d: %s", i, d)
		}
		if live := s.live().Only(); live == next {
			t.Fatalf("rollback %d left %s live", i, next)
		}
	}
	a := stop()
	total := 0
	for _, n := range a.byVersion {
		total += n
	}
	if a.bad > 0 || total < 100 {
		t.Errorf("%d of %d requests failed; by version %v", a.bad, total, a.byVersion)
	}
}

func TestUsersWithAKeyDoNotFlipBackWhileAVersionRises(t *testing.T) {
	t.Parallel()
	const keys = 1500
	s := newTheatre(t)
	if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
		t.Fatal(d)
	}
	next := s.Upload(t, s.worker, answering("headers['X-Next'] = 'yes';"))
	moved := map[int]bool{}
	for _, at := range []any{10.0, 20.0, 50.0, nil} {
		rollout := tfproto.Object{"steps": []any{step(10, "1ms"), step(20, "1ms"), step(50, "1ms")}}
		if at != nil {
			rollout["hold_at"] = at
		}
		if d := s.apply(s.config(next, rollout)); len(d) > 0 {
			t.Fatalf("hold_at %v: %s", at, d)
		}
		onNext := 0
		for key := range keys {
			version := s.getWithKey(fmt.Sprint("user-", key))
			switch {
			case version == next:
				onNext++
				moved[key] = true
			case moved[key]:
				t.Fatalf("hold_at %v: user %d went back to %s", at, key, version)
			}
		}
		want := 100.0
		if at != nil {
			want = at.(float64)
		}
		if share := float64(onNext) / keys * 100; share < want-4 || share > want+4 {
			t.Errorf("hold_at %v: %.1f %% of the users are on the new version", at, share)
		}
	}
}

// getWithKey asks as one user, and returns the version that answered.
func (s *theatre) getWithKey(key string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.Ingress+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Host = strings.TrimPrefix(s.url, "http://")
	request.Header.Set("Cloudflare-Workers-Version-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.Header.Get("X-Version")
}
