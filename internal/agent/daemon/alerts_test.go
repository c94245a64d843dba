// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/alert"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

const alertsKey = "correct-horse-battery-staple-alerts"

// pager is somebody who is told of alerts.
type pager struct {
	*httptest.Server
	mu    sync.Mutex
	down  bool
	heard []string // "type kind subject"
	ids   []string
	wrong []string
}

func newPager(t *testing.T) *pager {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhookRaw([]byte(alertsKey))
	if err != nil {
		t.Fatal(err)
	}
	p := &pager{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var told toldAlert
		err := verifier.Verify(body, r.Header)
		if err == nil {
			err = json.Unmarshal(body, &told)
		}
		if err != nil || told.Data.Agent.Machine == "" || told.Data.Agent.Region != "fr" || told.Data.Alert.Detail == "" ||
			(told.Type == "alert.resolved") != (told.Data.Alert.ResolvedOn != nil) {
			p.wrong = append(p.wrong, fmt.Sprint(err, string(body)))
		}
		p.heard = append(p.heard, strings.Join([]string{told.Type, told.Data.Alert.Kind, told.Data.Alert.Subject}, " "))
		p.ids = append(p.ids, r.Header.Get("webhook-id"))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *pager) await(t *testing.T, want ...string) {
	t.Helper()
	got := func() []string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Clone(p.heard)
	}
	for deadline := time.Now().Add(20 * time.Second); len(got()) < len(want) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // for one too many
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Fatalf("heard (-want +got):\n%s", diff)
	}
}

// site is a machine whose agent runs in this process.
type site struct {
	t      *testing.T
	dir    string
	pager  *pager
	delays map[string]alert.Delays
	d      *Daemon
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "alerts") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, pager: newPager(t), delays: map[string]alert.Delays{}}
	s.write("secret", alertsKey)
	t.Cleanup(s.stop)
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) file(more string) *agentfile.File {
	s.t.Helper()
	text := fmt.Sprintf("format: 1\nregion: fr\ndata_dir: %[1]s/data\nhealth: { listen: \"unix://%[1]s/health.sock\" }\n%[2]s", s.dir, more)
	f, err := agentfile.Parse([]byte(strings.ReplaceAll(strings.ReplaceAll(text, "DIR", s.dir), "WEBHOOK", fmt.Sprintf("webhooks: [ { url: %q, secret_file: %s/secret } ]", s.pager.URL, s.dir))), func(string) string { return "" })
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *site) start(more string) {
	s.t.Helper()
	workerd := workerdtest.Path(s.t)
	d, err := Start(s.t.Context(), Config{File: s.file(more), Version: "0.0.0-test", Log: hclog.NewNullLogger(), AlertDelays: s.delays, Getenv: func(name string) string {
		return map[string]string{"HYBRIDGE_WORKERD": workerd}[name]
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.d = d
}

func (s *site) stop() {
	if s.d != nil {
		if err := s.d.Close(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}
	s.d = nil
}

func (s *site) reload(more string) {
	s.t.Helper()
	if err := s.d.Reload(func() (*agentfile.File, error) { return s.file(more), nil }); err != nil {
		s.t.Fatal(err)
	}
}

// A machine without a plane keeps what it has to tell in its data directory.
func TestALostConnectorIsToldOnceAlsoOverRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	standintest.WriteToken(t, filepath.Join(s.dir, "token"), standintest.Token("s"))
	const down = "connector_down a"
	config := fmt.Sprintf("connectors: { a: { tunnel_id: %s, cloudflared: %s, token_file: DIR/token } }\nalerts: { WEBHOOK, disk_free: 0.001%% }\n", standintest.TunnelID, in.Path)
	s.delays[alert.ConnectorDown] = alert.Delays{Raise: 1500 * time.Millisecond}
	s.start(config)
	standintest.Eventually(t, "connected", func() bool { return s.d.Status().Ready })
	s.pager.await(t) // its start was no alert

	// The receiver is down too: what is to be told survives a restart.
	s.pager.mu.Lock()
	s.pager.down = true
	s.pager.mu.Unlock()
	in.Behave(standintest.Behaviour{})
	standintest.Eventually(t, "the alert stands", func() bool { return len(s.d.Status().Alerts) == 1 })
	s.stop()
	s.pager.mu.Lock()
	s.pager.down = false
	s.pager.mu.Unlock()
	s.start(config)
	s.pager.await(t, "alert.raised "+down)
	if a := s.d.Status().Alerts; len(a) != 1 || a[0].Kind != alert.ConnectorDown {
		t.Errorf("after the restart: %+v", a)
	}
	time.Sleep(2 * lookEvery)
	s.pager.await(t, "alert.raised "+down) // looks in between tell nothing

	in.Behave(standintest.Behaviour{Connections: 4})
	s.pager.await(t, "alert.raised "+down, "alert.resolved "+down)
	if id, ok := strings.CutSuffix(s.pager.ids[0], "-raised"); !ok || s.pager.ids[1] != id+"-resolved" {
		t.Errorf("ids: %v", s.pager.ids)
	}
	if len(s.pager.wrong) > 0 {
		t.Errorf("not signed, or not whole: %q", s.pager.wrong)
	}
}

func TestDisksAndFailedRolloutsAreTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	running := "plane: { api: { listen: \"unix://DIR/api.sock\" } }\n"
	s.start(running + "alerts: { WEBHOOK, disk_free: 99.999% }\n")
	disk := "disk_filling " + filepath.Join(s.dir, "data")
	s.pager.await(t, "alert.raised "+disk)
	s.reload(running + "alerts: { WEBHOOK, disk_free: 0.001% }\n")
	s.pager.await(t, "alert.raised "+disk, "alert.resolved "+disk)
	s.reload(running + "alerts: { WEBHOOK, disk_free: 99.999% }\n")
	s.pager.await(t, "alert.raised "+disk, "alert.resolved "+disk, "alert.raised "+disk)
	if s.pager.ids[0] == s.pager.ids[2] {
		t.Error("two alerts have one id")
	}

	reg := s.d.agent.Registry()
	accounts, err := reg.Accounts(t.Context())
	if err != nil || len(accounts) != 1 {
		t.Fatal(err, accounts)
	}
	w, err := reg.CreateWorker(t.Context(), registry.Worker{AccountID: accounts[0].ID, Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.CreateRollout(t.Context(), registry.Rollout{ID: "one", WorkerID: w.ID, Plan: json.RawMessage(`{}`), State: "baking"}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.NoteRollout(t.Context(), "one", registry.Note{State: "rolled_back", Ended: true, Event: func(registry.Rollout) (json.RawMessage, error) {
		return json.RawMessage(`{"state":"rolled_back"}`), nil
	}}); err != nil {
		t.Fatal(err)
	}
	before := []string{"alert.raised " + disk, "alert.resolved " + disk, "alert.raised " + disk, "alert.raised rollout_failed api one"}
	s.pager.await(t, before...)
	if err := reg.DeleteWorker(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	s.pager.await(t, append(before, "alert.resolved rollout_failed api one")...)
	if len(s.pager.wrong) > 0 {
		t.Errorf("not signed, or not whole: %q", s.pager.wrong)
	}
}

// A database that takes nothing cannot keep what is to be told of it.
func TestWhatCannotBeKeptIsToldAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := &Daemon{log: hclog.NewNullLogger()}
	a, err := d.openAlerts(t.Context(), s.file("connectors: { a: { tunnel_id: "+standintest.TunnelID+", token_file: DIR/token } }\nalerts: { WEBHOOK }\n"), s.delays)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "data", registry.DatabaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	down := health.Status{Connectors: map[string]connector.Status{"a": {State: "starting"}, "b": {State: "starting"}}}
	began := time.Now()
	a.look(t.Context(), &down)
	a.look(t.Context(), &down)
	if took := time.Since(began); took > 4*lookTimeout {
		t.Errorf("two looks took %s", took)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s.pager.mu.Lock()
		n := len(s.pager.heard)
		s.pager.mu.Unlock()
		if n == 2 {
			break
		}
	}
	s.pager.mu.Lock()
	first := slices.Sorted(slices.Values(s.pager.ids))
	s.pager.mu.Unlock()
	if len(first) != 2 || len(down.Alerts) != 0 {
		t.Fatalf("told %v, standing %v", first, down.Alerts)
	}
	// Once it can be kept it is told again, as the same message.
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	a.look(t.Context(), &down)
	a.look(t.Context(), &down)
	standintest.Eventually(t, "both are told again", func() bool {
		s.pager.mu.Lock()
		defer s.pager.mu.Unlock()
		return len(s.pager.ids) == 4
	})
	s.pager.mu.Lock()
	again := slices.Sorted(slices.Values(s.pager.ids[2:]))
	s.pager.mu.Unlock()
	if diff := cmp.Diff(first, again); diff != "" || len(down.Alerts) != 2 {
		t.Errorf("standing %v; ids (-first +again):\n%s", down.Alerts, diff)
	}
	// One that is over before it could be kept: its end is told all the same.
	up := health.Status{Connectors: map[string]connector.Status{"a": {State: "connected"}, "b": {State: "connected"}}}
	a.look(t.Context(), &up)
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	third := health.Status{Connectors: map[string]connector.Status{"a": {State: "connected"}, "b": {State: "connected"}, "c": {State: "starting"}}}
	a.look(t.Context(), &third)
	a.look(t.Context(), &up)
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	standintest.Eventually(t, "its end is told", func() bool {
		a.look(t.Context(), &up)
		s.pager.mu.Lock()
		defer s.pager.mu.Unlock()
		raised, resolved := 0, 0
		for _, text := range s.pager.heard {
			if strings.Contains(text, `c"`) || strings.Contains(text, " c") {
				raised += strings.Count(text, "raised")
				resolved += strings.Count(text, "resolved")
			}
		}
		return raised > 0 && resolved > 0
	})
	if err := a.close(); err != nil {
		t.Error(err)
	}
}

// What is wrong, and what each becomes. What a Worker or cloudflared has written is in none.
func TestWhatIsWrongBecomesWhichAlert(t *testing.T) {
	t.Parallel()
	const foreign = "the body of a customer"
	a := &alerts{troubles: func(context.Context) ([]plane.Trouble, error) {
		return []plane.Trouble{
			{Kind: plane.TroubleCrashLoop, Worker: "api", Of: "v1", Message: "m"}, {Kind: plane.TroubleRollout, Worker: "api", Of: "r1", Message: "m"},
			{Kind: plane.TroubleUnhealthy, Worker: "web", Message: "m"},
		}, nil
	}}
	s := health.Status{
		Connectors: map[string]connector.Status{"a": {State: "backing-off", LastError: foreign}, "b": {State: "connected", LastError: foreign}},
		Disk:       &health.Disk{Path: "/var/lib/hybridge"},
		Checks: []health.Check{
			{Name: "database", OK: true}, {Name: "disk", Warning: true, Detail: "3%"}, {Name: "certificate /etc/a.crt", Warning: true, Detail: "soon"},
			{Name: "certificate /etc/b.crt", OK: true}, {Name: "connector a", Detail: foreign}, {Name: "clock", Warning: true},
		},
	}
	var got []string
	for _, p := range a.problems(t.Context(), &s) {
		got = append(got, p.Kind+" "+p.Subject)
		if p.Detail == "" || strings.Contains(p.Detail, foreign) {
			t.Errorf("%+v", p)
		}
	}
	want := []string{"certificate_expiry /etc/a.crt", "connector_down a", "crash_loop api v1", "disk_filling /var/lib/hybridge", "plane_unhealthy web", "rollout_failed api r1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	// While the plane cannot be asked, what was wrong stays so.
	a.troubles = func(context.Context) ([]plane.Trouble, error) { return nil, errors.New("no answer") }
	if n := len(a.problems(t.Context(), &s)); n != len(want) {
		t.Errorf("%d problems, want %d", n, len(want))
	}
	s.Checks[0].OK = false
	a.troubles = func(context.Context) ([]plane.Trouble, error) { t.Error("it is asked nevertheless"); return nil, nil }
	if n := len(a.problems(t.Context(), &s)); n != len(want)+1 {
		t.Errorf("%d problems without a database, want %d", n, len(want)+1)
	}
}
